"""One night: freeze a snapshot, teach a challenger, judge it, publish it."""
