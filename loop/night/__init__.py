"""One night: choose and screen a lesson, teach a challenger, judge it, publish it."""
