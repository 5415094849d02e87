package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/url"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/spiffe/go-spiffe/v2/bundle/spiffebundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
)

const audience = "https://orders.example.com"

type issuedSVID struct {
	Name string `json:"name"`
	// DER, leaf first, and PKCS #8
	Chain [][]byte `json:"chain,omitempty"`
	Key   []byte   `json:"key,omitempty"`
	Token string   `json:"token,omitempty"`
	// What go-spiffe itself says it is
	Verdict string `json:"verdict"`
}

type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// issue makes SVIDs with Go's own encoders, good and bad ones, and a bundle document to judge them by.
func issue() error {
	trustDomain := spiffeid.RequireTrustDomainFromString("theirs.example")
	root := newAuthority("root", nil)
	foreign := newAuthority("foreign", nil)
	intermediate := newAuthority("intermediate", root)
	short := newAuthority("short", root, func(certificate *x509.Certificate) { certificate.MaxPathLen, certificate.MaxPathLenZero = 0, true })
	below := newAuthority("below", short)
	jwtKeys := map[string]crypto.Signer{"es256": newKey(), "es384": newP384Key(), "rs256": newRSAKey()}

	bundle := spiffebundle.FromX509Authorities(trustDomain, []*x509.Certificate{root.certificate})
	for id, key := range jwtKeys {
		if err := bundle.AddJWTAuthority(id, key.Public()); err != nil {
			return err
		}
	}
	bundle.SetSequenceNumber(7)
	bundle.SetRefreshHint(time.Minute)
	document, err := bundle.Marshal()
	if err != nil {
		return err
	}

	svids := []issuedSVID{}
	add := func(name string, issuer *authority, key crypto.Signer, chain []*authority, change func(*x509.Certificate)) {
		svids = append(svids, newX509SVID(name, issuer, key, chain, change, bundle))
	}
	id := func(uris ...string) func(*x509.Certificate) {
		return func(certificate *x509.Certificate) { certificate.URIs = parsed(uris...) }
	}
	add("EC P-256", root, newKey(), nil, nil)
	add("EC P-384", root, newP384Key(), nil, nil)
	add("RSA 2048", root, newRSAKey(), nil, nil)
	add("under an intermediate", intermediate, newKey(), []*authority{intermediate}, nil)
	add("an intermediate left out", intermediate, newKey(), nil, nil)
	add("below a path length of zero", below, newKey(), []*authority{below, short}, nil)
	add("with DNS names", root, newKey(), nil, func(certificate *x509.Certificate) { certificate.DNSNames = []string{"a.example", "b.example"} })
	add("with a common name only", root, newKey(), nil, func(certificate *x509.Certificate) {
		certificate.URIs, certificate.Subject = nil, pkix.Name{CommonName: "spiffe://theirs.example/workload"}
	})
	add("a foreign root", foreign, newKey(), nil, nil)
	add("another trust domain", root, newKey(), nil, id("spiffe://ours.example/workload"))
	add("two IDs", root, newKey(), nil, id("spiffe://theirs.example/a", "spiffe://theirs.example/b"))
	add("an ID and another URI", root, newKey(), nil, id("spiffe://theirs.example/a", "https://theirs.example/b"))
	add("no ID", root, newKey(), nil, id())
	add("a URI that is no ID", root, newKey(), nil, id("https://theirs.example/a"))
	add("an ID with a port", root, newKey(), nil, id("spiffe://theirs.example:443/a"))
	add("an ID with a query", root, newKey(), nil, id("spiffe://theirs.example/a?b=c"))
	add("an ID with an empty segment", root, newKey(), nil, id("spiffe://theirs.example/a//b"))
	add("an ID with dots", root, newKey(), nil, id("spiffe://theirs.example/a/../b"))
	add("expired", root, newKey(), nil, func(certificate *x509.Certificate) { certificate.NotAfter = time.Now().Add(-time.Minute) })
	add("not yet valid", root, newKey(), nil, func(certificate *x509.Certificate) { certificate.NotBefore = time.Now().Add(time.Hour) })
	add("a CA", root, newKey(), nil, func(certificate *x509.Certificate) { certificate.IsCA, certificate.BasicConstraintsValid = true, true })
	add("that may sign certificates", root, newKey(), nil, func(certificate *x509.Certificate) { certificate.KeyUsage |= x509.KeyUsageCertSign })
	add("that may sign CRLs", root, newKey(), nil, func(certificate *x509.Certificate) { certificate.KeyUsage |= x509.KeyUsageCRLSign })
	add("with an unknown critical extension", root, newKey(), nil, func(certificate *x509.Certificate) {
		certificate.ExtraExtensions = []pkix.Extension{{Id: []int{1, 2, 3, 4, 5}, Critical: true, Value: []byte{5, 0}}}
	})

	now := time.Now()
	claims := jwt.Claims{
		Subject: "spiffe://theirs.example/workload", Audience: jwt.Audience{audience},
		Expiry: jwt.NewNumericDate(now.Add(time.Hour)), IssuedAt: jwt.NewNumericDate(now),
	}
	addJWT := func(name string, algorithm jose.SignatureAlgorithm, keyID string, key any, change func(*jwt.Claims), kind ...jose.ContentType) {
		changed := claims
		if change != nil {
			change(&changed)
		}
		svids = append(svids, newJWTSVID(name, algorithm, keyID, key, changed, bundle, kind...))
	}
	addJWT("JWT ES256", jose.ES256, "es256", jwtKeys["es256"], nil)
	addJWT("JWT ES384", jose.ES384, "es384", jwtKeys["es384"], nil)
	addJWT("JWT RS256", jose.RS256, "rs256", jwtKeys["rs256"], nil)
	addJWT("JWT PS256", jose.PS256, "rs256", jwtKeys["rs256"], nil)
	addJWT("JWT typ JWT", jose.ES256, "es256", jwtKeys["es256"], nil, "JWT")
	addJWT("JWT typ JOSE", jose.ES256, "es256", jwtKeys["es256"], nil, "JOSE")
	addJWT("JWT another typ", jose.ES256, "es256", jwtKeys["es256"], nil, "at+jwt")
	addJWT("JWT HS256", jose.HS256, "es256", []byte("0123456789abcdef0123456789abcdef"), nil)
	addJWT("JWT another key", jose.ES256, "es256", newKey(), nil)
	addJWT("JWT an unknown kid", jose.ES256, "other", jwtKeys["es256"], nil)
	addJWT("JWT no kid", jose.ES256, "", jwtKeys["es256"], nil)
	addJWT("JWT several audiences", jose.ES256, "es256", jwtKeys["es256"], func(claims *jwt.Claims) { claims.Audience = jwt.Audience{"x", audience} })
	addJWT("JWT another audience", jose.ES256, "es256", jwtKeys["es256"], func(claims *jwt.Claims) { claims.Audience = jwt.Audience{"x"} })
	addJWT("JWT no audience", jose.ES256, "es256", jwtKeys["es256"], func(claims *jwt.Claims) { claims.Audience = nil })
	addJWT("JWT expired", jose.ES256, "es256", jwtKeys["es256"], func(claims *jwt.Claims) {
		claims.IssuedAt, claims.Expiry = jwt.NewNumericDate(now.Add(-time.Hour)), jwt.NewNumericDate(now.Add(-30*time.Minute))
	})
	addJWT("JWT without an end", jose.ES256, "es256", jwtKeys["es256"], func(claims *jwt.Claims) { claims.Expiry = nil })
	addJWT("JWT without iat", jose.ES256, "es256", jwtKeys["es256"], func(claims *jwt.Claims) { claims.IssuedAt = nil })
	addJWT("JWT no subject", jose.ES256, "es256", jwtKeys["es256"], func(claims *jwt.Claims) { claims.Subject = "" })
	addJWT("JWT a subject that is no ID", jose.ES256, "es256", jwtKeys["es256"], func(claims *jwt.Claims) { claims.Subject = "workload" })
	addJWT("JWT another trust domain", jose.ES256, "es256", jwtKeys["es256"], func(claims *jwt.Claims) { claims.Subject = "spiffe://ours.example/workload" })

	return write(map[string]any{"trust_domain": trustDomain.Name(), "bundle": string(document), "audience": audience, "svids": svids})
}

func newX509SVID(name string, issuer *authority, key crypto.Signer, chain []*authority, change func(*x509.Certificate), bundle *spiffebundle.Bundle) issuedSVID {
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{Organization: []string{"theirs"}}, URIs: parsed("spiffe://theirs.example/workload"),
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if change != nil {
		change(template)
	}
	leaf := must(x509.CreateCertificate(rand.Reader, template, issuer.certificate, key.Public(), issuer.key))
	certificates := [][]byte{leaf}
	for _, each := range chain {
		certificates = append(certificates, each.certificate.Raw)
	}
	id, _, err := x509svid.ParseAndVerify(certificates, bundle)
	return issuedSVID{Name: name, Chain: certificates, Key: must(x509.MarshalPKCS8PrivateKey(key)), Verdict: verdict(id, err)}
}

func newJWTSVID(name string, algorithm jose.SignatureAlgorithm, keyID string, key any, claims jwt.Claims, bundle *spiffebundle.Bundle, kind ...jose.ContentType) issuedSVID {
	options := &jose.SignerOptions{}
	if len(kind) > 0 {
		options = options.WithType(kind[0])
	}
	signer := must(jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: jose.JSONWebKey{Key: key, KeyID: keyID}}, options))
	token := must(jwt.Signed(signer).Claims(claims).Serialize())
	svid, err := jwtsvid.ParseAndValidate(token, bundle, []string{audience})
	return issuedSVID{Name: name, Token: token, Verdict: jwtVerdict(svid, err)}
}

func newAuthority(name string, issuer *authority, changes ...func(*x509.Certificate)) *authority {
	key := newKey()
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: name}, URIs: parsed("spiffe://theirs.example"),
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	for _, change := range changes {
		change(template)
	}
	parent := &authority{template, key}
	if issuer != nil {
		parent = issuer
	}
	der := must(x509.CreateCertificate(rand.Reader, template, parent.certificate, key.Public(), parent.key))
	return &authority{must(x509.ParseCertificate(der)), key}
}

func newKey() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) }

func newP384Key() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)) }

func newRSAKey() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) }

func serial() *big.Int { return must(rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))) }

func parsed(texts ...string) []*url.URL {
	urls := []*url.URL{}
	for _, text := range texts {
		urls = append(urls, must(url.Parse(text)))
	}
	return urls
}

func must[Value any](value Value, err error) Value {
	if err != nil {
		panic(err)
	}
	return value
}
