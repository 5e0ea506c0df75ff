"""When nights run: slots, the scheduler, and the process in which a night runs."""
