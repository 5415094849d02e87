package main

import (
	"github.com/spiffe/go-spiffe/v2/bundle/spiffebundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
)

// verify judges SVIDs by bundle documents: one verdict for each, the ID or why it was refused.
func verify() error {
	var asked struct {
		// Trust domain to SPIFFE bundle document
		Bundles map[string]string `json:"bundles"`
		// Chains of DER in base64, leaf first
		X509     [][][]byte `json:"x509"`
		JWT      []string   `json:"jwt"`
		Audience string     `json:"audience"`
	}
	if err := read(&asked); err != nil {
		return err
	}
	bundles := spiffebundle.NewSet()
	for name, document := range asked.Bundles {
		bundle, err := spiffebundle.Parse(spiffeid.RequireTrustDomainFromString(name), []byte(document))
		if err != nil {
			return err
		}
		bundles.Add(bundle)
	}
	verdicts := struct {
		X509 []string `json:"x509"`
		JWT  []string `json:"jwt"`
	}{[]string{}, []string{}}
	for _, chain := range asked.X509 {
		id, _, err := x509svid.ParseAndVerify(chain, bundles)
		verdicts.X509 = append(verdicts.X509, verdict(id, err))
	}
	for _, token := range asked.JWT {
		svid, err := jwtsvid.ParseAndValidate(token, bundles, []string{asked.Audience})
		verdicts.JWT = append(verdicts.JWT, jwtVerdict(svid, err))
	}
	return write(verdicts)
}
