// Asks for tokens the way Go programs do. Reads one request as JSON on stdin, writes what came of it as JSON to stdout.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

type request struct {
	// auto, header, params: the styles of golang.org/x/oauth2; form: a bare http.PostForm
	Style        string   `json:"style"`
	TokenURL     string   `json:"token_url"`
	ClientID     string   `json:"client_id"`
	ClientSecret string   `json:"client_secret"`
	Audience     string   `json:"audience"`
	Scopes       []string `json:"scopes"`
	// Where to go with the token, through the client that golang.org/x/oauth2 makes
	ResourceURL string `json:"resource_url"`
}

type answer struct {
	AccessToken   string  `json:"access_token,omitempty"`
	TokenType     string  `json:"token_type,omitempty"`
	Scope         string  `json:"scope,omitempty"`
	ExpiresIn     float64 `json:"expires_in,omitempty"`
	Status        int     `json:"status,omitempty"`
	Error         string  `json:"error,omitempty"`
	Authorization string  `json:"authorization,omitempty"`
}

var styles = map[string]oauth2.AuthStyle{
	"auto":   oauth2.AuthStyleAutoDetect,
	"header": oauth2.AuthStyleInHeader,
	"params": oauth2.AuthStyleInParams,
}

func main() {
	var asked request
	if err := json.NewDecoder(os.Stdin).Decode(&asked); err != nil {
		fail(err)
	}
	fetch := withLibrary
	if asked.Style == "form" {
		fetch = withPostForm
	}
	got, err := fetch(asked)
	if err != nil {
		fail(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(got); err != nil {
		fail(err)
	}
}

func withLibrary(asked request) (answer, error) {
	config := clientcredentials.Config{
		ClientID:     asked.ClientID,
		ClientSecret: asked.ClientSecret,
		TokenURL:     asked.TokenURL,
		Scopes:       asked.Scopes,
		AuthStyle:    styles[asked.Style],
	}
	if asked.Audience != "" {
		config.EndpointParams = url.Values{"audience": {asked.Audience}}
	}
	if asked.ResourceURL != "" {
		return callResource(config, asked.ResourceURL)
	}
	token, err := config.Token(context.Background())
	var refused *oauth2.RetrieveError
	if errors.As(err, &refused) {
		return answer{Status: refused.Response.StatusCode, Error: refused.ErrorCode}, nil
	}
	if err != nil {
		return answer{}, err
	}
	scope, _ := token.Extra("scope").(string)
	expiresIn, _ := token.Extra("expires_in").(float64)
	return answer{
		AccessToken: token.AccessToken,
		TokenType:   token.Type(),
		Scope:       scope,
		ExpiresIn:   expiresIn,
		Status:      http.StatusOK,
	}, nil
}

// What a program really does: an http.Client that gets its tokens by itself.
func callResource(config clientcredentials.Config, resource string) (answer, error) {
	response, err := config.Client(context.Background()).Get(resource)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return answer{Status: response.StatusCode, Authorization: string(body)}, err
}

// Without any library, and without naming an audience.
func withPostForm(asked request) (answer, error) {
	response, err := http.PostForm(asked.TokenURL, url.Values{
		"grant_type":    {"client_credentials"},
		"client_id":     {asked.ClientID},
		"client_secret": {asked.ClientSecret},
	})
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	got := answer{Status: response.StatusCode}
	return got, json.NewDecoder(response.Body).Decode(&got)
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
