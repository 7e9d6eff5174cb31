package judge

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"ms2m.dev/ms2m-descheduler/test/workloads/ledger/chain"
)

// fetchTimeout bounds one request: checksumming gibibytes of memory takes seconds.
const fetchTimeout = 30 * time.Second

// FetchState reads a ledger's state from base, such as "http://10.0.0.7:8080". With memory the ledger checksums its
// ballast, which is worth it for a verdict and not for a progress display.
func FetchState(ctx context.Context, base string, memory bool) (chain.State, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	url := base + "/state"
	if memory {
		url += "?memory=true"
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return chain.State{}, fmt.Errorf("making request: %w", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return chain.State{}, fmt.Errorf("fetching state: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return chain.State{}, fmt.Errorf("fetching state: %s answered %s", url, response.Status)
	}
	var state chain.State
	if err := json.NewDecoder(response.Body).Decode(&state); err != nil {
		return chain.State{}, fmt.Errorf("decoding state: %w", err)
	}
	return state, nil
}
