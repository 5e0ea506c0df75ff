// A process that dies before one of its steps. A step is a call that creates, writes, syncs, renames, truncates, locks or
// removes a file, or sends to or receives from a socket: between two steps a kill has the same effect anywhere.

/// Dies by SIGKILL before the `step`-th step from now; 0: never.
void mortal_die_at(long step);

/// The steps since the last call of `mortal_die_at`.
long mortal_steps(void);
