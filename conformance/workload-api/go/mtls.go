package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
)

// serve answers each request with who asked, by mTLS with this workload's SVID, until it is killed.
func serve() error {
	var asked struct {
		AllowedIDs []string `json:"allowed_ids"`
	}
	if err := read(&asked); err != nil {
		return err
	}
	source, err := workloadapi.NewX509Source(context.Background())
	if err != nil {
		return err
	}
	config := tlsconfig.MTLSServerConfig(source, source, tlsconfig.AuthorizeOneOf(idsOf(asked.AllowedIDs)...))
	listener, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		return err
	}
	if err := write(map[string]string{"address": listener.Addr().String()}); err != nil {
		return err
	}
	return http.Serve(listener, http.HandlerFunc(func(response http.ResponseWriter, request *http.Request) {
		caller, err := x509svid.IDFromCert(request.TLS.PeerCertificates[0])
		if err != nil {
			http.Error(response, err.Error(), http.StatusInternalServerError)
			return
		}
		_ = json.NewEncoder(response).Encode(map[string]string{
			"caller":    caller.String(),
			"serial":    request.TLS.PeerCertificates[0].SerialNumber.Text(16),
			"forwarded": request.Header.Get("x-forwarded-client-cert"),
		})
	}))
}

// call asks over mTLS, with a new connection for each request, and writes every answer.
func call() error {
	var asked struct {
		URL     string `json:"url"`
		ID      string `json:"id"`
		Count   int    `json:"count"`
		PauseMs int    `json:"pause_ms"`
	}
	if err := read(&asked); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	source, err := workloadapi.NewX509Source(ctx)
	if err != nil {
		return err
	}
	defer source.Close()
	config := tlsconfig.MTLSClientConfig(source, source, tlsconfig.AuthorizeID(spiffeid.RequireFromString(asked.ID)))
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
	answers := []json.RawMessage{}
	for range max(asked.Count, 1) {
		answer, err := get(client, asked.URL)
		if err != nil {
			answer, _ = json.Marshal(map[string]string{"error": err.Error()})
		}
		answers = append(answers, answer)
		time.Sleep(time.Duration(asked.PauseMs) * time.Millisecond)
	}
	return write(answers)
}

func get(client *http.Client, url string) (json.RawMessage, error) {
	response, err := client.Get(url)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if !json.Valid(body) {
		fmt.Fprintf(os.Stderr, "%d %s\n", response.StatusCode, body)
		return json.Marshal(map[string]any{"status": response.StatusCode, "text": string(body)})
	}
	return body, nil
}

func idsOf(texts []string) []spiffeid.ID {
	ids := []spiffeid.ID{}
	for _, text := range texts {
		ids = append(ids, spiffeid.RequireFromString(text))
	}
	return ids
}
