package migrate

import (
	"context"
	"fmt"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/log"
)

// issueTickets tells the target's agent which containers of the target pod are to be restored. From here the wrapper
// waits for the archives.
func issueTickets(ctx context.Context, r *run) (time.Duration, error) {
	node, _, err := r.target(ctx)
	if err != nil {
		return 0, err
	}
	for _, c := range r.m.Status.Containers {
		if _, err := node.PutTicket(ctx, r.move(), string(r.m.Status.Target.UID), c); err != nil {
			return 0, agentFailure("issuing ticket for container "+c, err)
		}
	}
	return 0, nil
}

// deleteTickets does not insist: a ticket is worth nothing without its pod, and the agent's janitor removes it then.
func deleteTickets(ctx context.Context, r *run) (time.Duration, error) {
	if err := r.eachTicket(ctx, "deleting", Node.DeleteTicket); err != nil {
		log.FromContext(ctx).Error(err, "Tickets left to the agent's janitor", "node", r.m.Status.Target.Node)
	}
	return 0, nil
}

// eachTicket does something with the ticket of every container of the target.
func (r *run) eachTicket(ctx context.Context, doing string, do func(Node, context.Context, string, string) error) error {
	node, _, err := r.target(ctx)
	if err != nil {
		return err
	}
	for _, c := range r.m.Status.Containers {
		if err := do(node, ctx, string(r.m.Status.Target.UID), c); err != nil {
			return fmt.Errorf("%s ticket of container %s: %w", doing, c, err)
		}
	}
	return nil
}
