/*
 * What the processes of lifecycle.pml share: bounds, tables, what callers remember, what an observer notes down, and the
 * properties of a state. `say` is heard only when a counterexample is told (tests/model/run.ts); a search leaves it out.
 */
#ifndef TASKS
#define TASKS 1 /* 1 or 2 */
#endif
#ifndef WORKERS
#define WORKERS 2 /* 1 or 2 */
#endif
#ifndef FAILURES_MAX
#define FAILURES_MAX 2
#endif
#ifndef LOSSES_MAX
#define LOSSES_MAX 2
#endif
/* Trace bounds none of these three; here they bound the states. 0 leaves the step out. */
#ifndef RELEASES_MAX
#define RELEASES_MAX 1
#endif
#ifndef SNOOZES_MAX
#define SNOOZES_MAX 1
#endif
#ifndef REPLAYS_MAX
#define REPLAYS_MAX 0
#endif
/* Steps that a configuration may leave out. */
#ifndef DEADLINES
#define DEADLINES 1 /* leases pass their deadlines */
#endif
#ifndef DUPLICATES
#define DUPLICATES 1 /* the network repeats calls, late */
#endif
#ifndef STARTS
#define STARTS 1 /* attempts are bound to an invocation before they run */
#endif
#ifndef CANCELS
#define CANCELS 1 /* people cancel tasks */
#endif

#ifdef TOLD
#define say(...) printf(__VA_ARGS__);
#else
#define say(...)
#endif

/* Leases a task can have: in each of its lives all but the last end by a failure or a loss, or by a release or a snooze,
 * which are counted over all its lives. */
#define TOKENS ((1 + REPLAYS_MAX) * (FAILURES_MAX + LOSSES_MAX - 1) + RELEASES_MAX + SNOOZES_MAX)
#define ROWS (TASKS * TOKENS)
#define SESSIONS (2 * WORKERS)
#define NONE SESSIONS

/* Calls, and how an attempt ended. `hand_back` is release, a word that Spin keeps for itself. */
mtype = { success, retryable, terminal, snooze, hand_back, lost, overdue, cancel };
/* Where a task goes when an attempt ends. */
mtype = { queued, completed, canceled, dead };
/* What closed_at and the clock say of a session. */
mtype = { open, expired, closed };
/* What a caller is told of its completion. */
mtype = { accepted, already, stale };

/* ---- Tables. A column is an array by task; 0 is "no row" or null. ---- */
bool created[TASKS];                      /* tasks */
bool ready[TASKS];                        /* a ready row exists ... */
bool due[TASKS];                          /* ... and its run_at has come */
bool leased[TASKS];                       /* a lease row exists: */
byte token[TASKS];                        /* its token, the n-th of the task; numbers are never used again */
byte holder[TASKS];                       /* its session */
bool past[TASKS];                         /* it is past its deadline */
byte nonce[TASKS];                        /* the invocation it is bound to */
byte attempt[TASKS], failures[TASKS], losses[TASKS]; /* go along from ready to lease to outcome, and back by a replay */
mtype outcome[TASKS];                     /* an outcome row exists, and says this */
mtype ended[ROWS];              /* attempts: how the attempt with this token ended */
mtype became[ROWS];             /* attempts.answer: what became of the task by it */
#ifdef ATTEMPT_FENCE
byte number[ROWS];                        /* the attempt number that was claimed with this token */
#endif
mtype session[SESSIONS];                  /* sessions, two at a time for each worker */
#define row(t, n) ((t) * TOKENS + (n) - 1)
#define live(t) (leased[t] && !past[t] && session[holder[t]] == open)

#define is_completion(call) (call == success || call == retryable || call == terminal || call == snooze)

/* ---- What the callers remember. ---- */
byte mine[WORKERS] = NONE;                /* the session a worker uses */
bool busy[WORKERS];                       /* it has, or believes it has, this lease: */
byte w_task[WORKERS], w_token[WORKERS];
mtype w_call[WORKERS];                    /* its call on the way */
bool n_busy;                              /* a copy of a call, which the network delivers whenever it likes; */
mtype n_call;                             /* 0 for a start */
byte n_from, n_task, n_token;

/* ---- Notes of an observer who sees all. Only assertions read them. ---- */
byte issued[TASKS], handed_back[TASKS], snoozed[TASKS], commits[TASKS];
byte before[TASKS];                       /* leases that earlier lives of the task used up */
byte replays[TASKS];
byte admitted[TASKS];                     /* invocations let in under the present lease */
mtype told[ROWS];               /* the first verdict on a completion with this token, */
mtype told_of[ROWS];            /* the body that was accepted, */
mtype told_became[ROWS];        /* and what became of the task */

/* Each task is in one place; a commit belongs to a completed task; counts keep within their bounds and add up. */
#define in_one_place(t) (ready[t] + leased[t] + (outcome[t] != 0) == created[t])
#define committed_once(t) (commits[t] == (outcome[t] == completed))
#define used_up(t) (failures[t] + losses[t] + handed_back[t] + snoozed[t])
#define counted(t) ( \
  failures[t] <= FAILURES_MAX && losses[t] <= LOSSES_MAX \
  && (outcome[t] || (failures[t] < FAILURES_MAX && losses[t] < LOSSES_MAX)) \
  && attempt[t] == issued[t] - handed_back[t] \
  && (outcome[t] == canceled || issued[t] == before[t] + used_up(t) + leased[t] + commits[t]))
#define whole(t) (in_one_place(t) && committed_once(t) && counted(t))

/* History that nobody can ask for any more, and sessions that no worker uses and no lease names, are forgotten: what
 * follows cannot depend on them, and the states stay finite although neither number is ever used again. */
#define asks(w, t, n) (busy[w] && w_task[w] == t && w_token[w] == n)
#define asked(t, n) (asks(0, t, n) || asks(WORKERS - 1, t, n) || (n_busy && n_task == t && n_token == n) || (leased[t] && token[t] == n))
inline forget_attempt(ft, fn) {
  if
  :: fn > 0 && !asked(ft, fn) ->
       ended[row(ft, fn)] = 0; became[row(ft, fn)] = 0;
       told[row(ft, fn)] = 0; told_of[row(ft, fn)] = 0; told_became[row(ft, fn)] = 0
  :: else
  fi
}
#define leased_to(t, s) (leased[t] && holder[t] == s)
#define names_lease(s) (leased_to(0, s) || leased_to(TASKS - 1, s))
inline forget_session(s) {
  if
  :: s != NONE && mine[s / 2] != s && !names_lease(s) -> session[s] = 0
  :: else
  fi
}
