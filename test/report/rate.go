package report

import (
	"math"
	"slices"
	"time"
)

// Count is a reading of a counter of processed messages.
type Count struct {
	At    time.Time
	Count uint64
}

// point of a rate: seconds since the timeline's zero, messages per second.
type point struct{ x, y float64 }

const (
	// messagesPerWindow smooths what single messages would make jagged.
	messagesPerWindow = 12
	minWindow         = 0.2
	maxWindow         = 1.5
	// step between points of the line, seconds.
	step = 0.03
)

// window returns the seconds over which rates of these counters are taken.
func window(series ...[]Count) float64 {
	var fastest float64
	for _, counts := range series {
		if n := len(counts); n > 1 {
			seconds := counts[n-1].At.Sub(counts[0].At).Seconds()
			fastest = max(fastest, difference(counts[0], counts[n-1])/max(seconds, minWindow))
		}
	}
	if fastest == 0 {
		return minWindow
	}
	return min(maxWindow, max(minWindow, messagesPerWindow/fastest))
}

// rates derives a smooth rate from readings: differences over the window, and their mean over another half.
// The window limits how short a silence can be seen.
func rates(counts []Count, zero time.Time, window float64) []point {
	if len(counts) < 2 {
		return nil
	}
	xs := make([]float64, len(counts))
	for i, c := range counts {
		xs[i] = c.At.Sub(zero).Seconds()
	}
	first, last := xs[0], xs[len(xs)-1]
	points := make([]point, 0, int((last-first)/step)+2)
	for i := 0; ; i++ {
		x := min(first+float64(i)*step, last)
		from, to := max(first, x-window/2), min(last, x+window/2)
		points = append(points, point{x: x, y: max(0, (countAt(counts, xs, to)-countAt(counts, xs, from))/max(to-from, 1e-3))})
		if x >= last {
			return smooth(points, int(window/4/step))
		}
	}
}

// countAt interpolates between readings.
func countAt(counts []Count, xs []float64, x float64) float64 {
	i, _ := slices.BinarySearch(xs, x)
	switch {
	case i == 0:
		return float64(counts[0].Count)
	case i == len(xs):
		return float64(counts[len(counts)-1].Count)
	}
	share := (x - xs[i-1]) / math.Max(xs[i]-xs[i-1], 1e-9)
	return float64(counts[i-1].Count) + share*difference(counts[i-1], counts[i])
}

// difference is negative when the counter began anew.
func difference(a, b Count) float64 { return float64(b.Count) - float64(a.Count) }

// smooth takes the mean over so many neighbours on either side.
func smooth(points []point, neighbours int) []point {
	smoothed := make([]point, len(points))
	for i, p := range points {
		from, to := max(0, i-neighbours), min(len(points)-1, i+neighbours)
		var sum float64
		for _, neighbour := range points[from : to+1] {
			sum += neighbour.y
		}
		smoothed[i] = point{x: p.x, y: sum / float64(to-from+1)}
	}
	return smoothed
}
