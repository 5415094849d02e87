package main

import (
	"context"
	"sync"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
)

type x509Answer struct {
	ID        string `json:"id"`
	Serial    string `json:"serial"`
	ExpiresAt int64  `json:"expires_at"`
	Hint      string `json:"hint"`
	// What verifying the chain with the bundles of the same answer says it is
	Verified string   `json:"verified"`
	DNSNames []string `json:"dns_names"`
}

type jwtAnswer struct {
	ID       string   `json:"id"`
	Audience []string `json:"audience"`
	Token    string   `json:"token"`
	// What the JWT bundles, and what the Workload API itself, say it is
	Verified  string `json:"verified"`
	Validated string `json:"validated"`
}

type fetchAnswer struct {
	X509       []x509Answer        `json:"x509"`
	JWT        []jwtAnswer         `json:"jwt"`
	Bundles    map[string]int      `json:"bundles"`
	JWTBundles map[string][]string `json:"jwt_bundles"`
	// Of a JWT-SVID whose signature was spoilt
	Spoilt string `json:"spoilt"`
	Error  string `json:"error,omitempty"`
}

// fetch asks for everything once.
func fetch() error {
	var asked struct {
		Audience  string `json:"audience"`
		SubjectID string `json:"subject_id"`
	}
	if err := read(&asked); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	client, err := workloadapi.New(ctx)
	if err != nil {
		return err
	}
	defer client.Close()

	answer := fetchAnswer{Bundles: map[string]int{}, JWTBundles: map[string][]string{}}
	x509Context, err := client.FetchX509Context(ctx)
	if err != nil {
		answer.Error = err.Error()
		return write(answer)
	}
	for _, svid := range x509Context.SVIDs {
		each := x509Of(svid)
		id, _, err := x509svid.Verify(svid.Certificates, x509Context.Bundles)
		each.Verified = verdict(id, err)
		answer.X509 = append(answer.X509, each)
	}
	for _, bundle := range x509Context.Bundles.Bundles() {
		answer.Bundles[bundle.TrustDomain().Name()] = len(bundle.X509Authorities())
	}

	params := jwtsvid.Params{Audience: asked.Audience}
	if asked.SubjectID != "" {
		params.Subject = spiffeid.RequireFromString(asked.SubjectID)
	}
	tokens, err := client.FetchJWTSVIDs(ctx, params)
	if err != nil {
		return err
	}
	bundles, err := client.FetchJWTBundles(ctx)
	if err != nil {
		return err
	}
	for _, token := range tokens {
		checked, err := jwtsvid.ParseAndValidate(token.Marshal(), bundles, []string{asked.Audience})
		validated, validationError := client.ValidateJWTSVID(ctx, token.Marshal(), asked.Audience)
		answer.JWT = append(answer.JWT, jwtAnswer{
			ID: token.ID.String(), Audience: token.Audience, Token: token.Marshal(),
			Verified: jwtVerdict(checked, err), Validated: jwtVerdict(validated, validationError),
		})
	}
	for _, bundle := range bundles.Bundles() {
		for id := range bundle.JWTAuthorities() {
			name := bundle.TrustDomain().Name()
			answer.JWTBundles[name] = append(answer.JWTBundles[name], id)
		}
	}
	if len(tokens) > 0 {
		token := tokens[0].Marshal()
		_, err := client.ValidateJWTSVID(ctx, token[:len(token)-8]+"AAAAAAAA", asked.Audience)
		answer.Spoilt = verdict(spiffeid.ID{}, err)
	}
	return write(answer)
}

// watch writes a line for each X.509-SVID that is new, until there were as many as asked for.
func watch() error {
	var asked struct {
		Count int `json:"count"`
	}
	if err := read(&asked); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	watcher := &x509Watcher{seen: map[string]bool{}, count: asked.Count, done: cancel}
	err := workloadapi.WatchX509Context(ctx, watcher)
	if len(watcher.seen) >= asked.Count {
		return nil
	}
	return err
}

type x509Watcher struct {
	mutex sync.Mutex
	seen  map[string]bool
	count int
	done  func()
}

func (watcher *x509Watcher) OnX509ContextUpdate(update *workloadapi.X509Context) {
	watcher.mutex.Lock()
	defer watcher.mutex.Unlock()
	each := x509Of(update.DefaultSVID())
	if watcher.seen[each.Serial] || len(watcher.seen) >= watcher.count {
		return
	}
	watcher.seen[each.Serial] = true
	id, _, err := x509svid.Verify(update.DefaultSVID().Certificates, update.Bundles)
	each.Verified = verdict(id, err)
	_ = write(each)
	if len(watcher.seen) >= watcher.count {
		watcher.done()
	}
}

func (watcher *x509Watcher) OnX509ContextWatchError(error) {}

func x509Of(svid *x509svid.SVID) x509Answer {
	leaf := svid.Certificates[0]
	return x509Answer{
		ID: svid.ID.String(), Serial: leaf.SerialNumber.Text(16), ExpiresAt: leaf.NotAfter.Unix(),
		Hint: svid.Hint, DNSNames: leaf.DNSNames,
	}
}

func jwtVerdict(svid *jwtsvid.SVID, err error) string {
	if err != nil {
		return verdict(spiffeid.ID{}, err)
	}
	return verdict(svid.ID, nil)
}

func verdict(id spiffeid.ID, err error) string {
	if err != nil {
		return "refused: " + err.Error()
	}
	return id.String()
}
