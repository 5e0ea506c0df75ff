"""One night: freeze a lesson, teach a challenger, judge it, publish it."""
