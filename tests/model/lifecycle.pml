/*
 * The life of a task, as the dispatcher's SQL, its workers, people, the clock and the network play it. Each `atomic` is one
 * SQL statement or one transaction; whatever stands between two of them is interleaved with everybody else. docs/model.md
 * maps each block to the code, says what is left out and how to read a counterexample; tests/model/run.ts runs it.
 *
 * Time is no number here. A session may expire and a lease may pass its deadline at any moment: both are states of the
 * row, as the database clock judges it once the locks are held. A beat that arrives in time prevents an expiry and
 * changes nothing else, so it is no step; a beat that arrives too late, or that tells of a lost lease, is one. For the
 * same reason a call that changed nothing and whose answer is lost is no step: it is as if it had not been made.
 *
 * Defects, planted by a flag and expected to be found:
 *   NO_FENCE             a completion names its task, not its token: any live lease of the task will do
 *   ATTEMPT_FENCE        task and attempt number are the fence, and a release gives the number out again
 *   EARLY_JUDGE          the expiry is judged when the call arrives, not after the lease is locked
 *   EARLY_SWEEP          the reaper notes an expired lease and ends, a statement later, the one that its task has then
 *   NO_SWEEP             the reaper ends leases past their deadline only, not those of sessions that are over
 *   COMMIT_APART         a completion commits what it wrote in one transaction and ends the attempt in another
 *   SESSION_KEPT         a worker that never had the answer to a claim goes on beating for what it claimed
 *   TORN_CLAIM           a claim deletes the ready row and inserts the lease in two transactions
 *   FORGETFUL            history keeps no answer, so that the same completion again is told that it is stale
 *   LOSS_IS_FAILURE      a lost lease counts as a failed attempt
 *   START_TWICE          a start does not look whether the attempt is bound already
 *   CANCEL_LEAVES_LEASE  the cancel of a running task writes its outcome and leaves the lease to the reaper
 *   REPLAY_KEEPS_COUNTS  a replayed task keeps the counts it died of
 */
#include "tables.pml"
#include "statements.pml"

/* ---- A worker, started again whenever it dies. It runs one task at a time. ---- */
inline drop() {
  busy[w] = false; w_call[w] = 0;
  forget_attempt(w_task[w], w_token[w]);
  w_task[w] = 0; w_token[w] = 0;
  yes = false
}
/* The row of the session stays as it is, until it expires or somebody closes it. */
inline leave_session() {
  h = mine[w];
  mine[w] = NONE;
  forget_session(h);
  h = 0
}
inline send(call) {
  w_call[w] = call;
  say("| worker %d calls %e with lease %d of task %d\n", w + 1, call, w_token[w], w_task[w] + 1)
  look_first(w_task[w], w_token[w], call)
}
#define refused(w) (mine[w] == NONE || session[mine[w]] != open)
#define tells_lost(w) (!refused(w) && !(leased[w_task[w]] && token[w_task[w]] == w_token[w] && !past[w_task[w]]))

/* What may happen to a worker at any moment while it has a task: a beat is refused (sessions.ts beat), a beat names its
 * lease as lost, it is killed, it closes its session with the task in hand. */
#define MISFORTUNES \
  :: atomic { refused(w) -> say("| worker %d is told that its session is over\n", w + 1) drop(); leave_session(); goto end_idle } \
  :: atomic { tells_lost(w) -> say("| worker %d is told that lease %d is lost\n", w + 1, w_token[w]) drop(); goto end_idle } \
  :: atomic { mine[w] != NONE -> say("| worker %d is killed\n", w + 1) drop(); leave_session(); goto end_crash } \
  :: atomic { !refused(w) -> say("| worker %d closes its session\n", w + 1) session[mine[w]] = closed; drop(); leave_session(); goto end_idle }

proctype Worker(byte w) {
  byte t, h, n;
  mtype g;
  bool yes;
  SEEN;

end_idle:
  if
  /* openSession; an id is never used again, a slot of the model is, once nothing refers to it. */
  :: atomic {
       mine[w] == NONE && (session[2 * w] == 0 || session[2 * w + 1] == 0) ->
       if
       :: session[2 * w] == 0 -> mine[w] = 2 * w
       :: else -> mine[w] = 2 * w + 1
       fi;
       session[mine[w]] = open;
       say("| worker %d opens session %d\n", w + 1, mine[w] + 1)
       goto end_idle
     }
  /* A claim, or a beat, on a session that is over is refused. */
  :: atomic { mine[w] != NONE && session[mine[w]] != open -> say("| worker %d is told that its session is over\n", w + 1) leave_session(); goto end_idle }
  /* A wake-up for a task that is not ready claims nothing and changes nothing, however often it is repeated; so none is
   * a step, and a worker may claim whatever is due, told of it or not. */
  :: atomic {
       if
       :: claimable(w, 0) -> t = 0
#if TASKS > 1
       :: claimable(w, 1) -> t = 1
#endif
       fi;
       ready[t] = false; due[t] = false;
       TEAR
       assert(!leased[t]); /* property 1: one lease of a task */
       leased[t] = true; holder[t] = mine[w]; attempt[t]++; issued[t]++;
       assert(issued[t] <= TOKENS); /* property 6: leases are bounded */
       token[t] = issued[t];
#ifdef ATTEMPT_FENCE
       number[row(t, token[t])] = attempt[t];
#endif
       say("| worker %d claims task %d with session %d: lease %d, attempt %d\n", w + 1, t + 1, mine[w] + 1, token[t], attempt[t])
       if
       :: busy[w] = true; w_task[w] = t; w_token[w] = token[t]; t = 0
       /* The answer is lost: the worker retires the session (claimer.ts). */
#ifdef SESSION_KEPT
       :: say("| its answer is lost; worker %d goes on\n", w + 1) t = 0; goto end_idle
#else
       :: say("| its answer is lost; worker %d gives up the session\n", w + 1) t = 0; leave_session(); goto end_idle
#endif
       fi
     }
  fi;

#if STARTS || RELEASES_MAX
holding:
  if
#if STARTS
  :: atomic {
       start_fenced(w_task[w], w_token[w], w + 1);
       say("| worker %d starts lease %d of task %d: %e\n", w + 1, w_token[w], w_task[w] + 1, (yes -> accepted : stale))
       if
       :: yes -> yes = false
#ifndef LIVENESS
       :: yes -> yes = false; goto holding /* the answer is lost: it asks again; for ever is no fair network */
#endif
       :: !yes -> drop(); goto end_idle
       fi
     }
#else
  :: true
#endif
#if RELEASES_MAX
  :: atomic { handed_back[w_task[w]] < RELEASES_MAX -> send(hand_back); goto releasing }
#endif
  MISFORTUNES
  fi;
#endif

running: /* the work ends, one way or another */
  if
  :: atomic { send(success) }
  :: atomic { send(retryable) }
  :: atomic { send(terminal) }
#if SNOOZES_MAX
  :: atomic { snoozed[w_task[w]] < SNOOZES_MAX -> send(snooze) }
#endif
  MISFORTUNES
  fi;

fencing:
  if
  :: atomic {
       complete_fenced(w_task[w], w_token[w], w_call[w]);
       if
       :: yes -> drop(); goto end_idle
       :: yes -> yes = false /* the answer is lost: the same call again finds no lease */
       :: !yes
       fi
     }
  MISFORTUNES
  fi;

answering:
  if
  :: atomic { answer_ended(w_task[w], w_token[w], w_call[w]); drop(); goto end_idle }
  MISFORTUNES
  fi;

#if RELEASES_MAX
releasing:
  if
  :: atomic {
       release_fenced(w_task[w], w_token[w]);
       if
       :: drop(); goto end_idle
       :: yes -> yes = false; goto releasing /* the answer is lost */
       fi
     }
  MISFORTUNES
  fi;
#endif

end_crash:
#ifdef LIVENESS
  if
  :: w > 0 -> goto end_gone /* all workers but one may stay away for good */
  :: goto end_idle
  fi;
end_gone:
  false
#else
  goto end_idle
#endif
}

/* ---- The reaper. A pass closes sessions, then sweeps leases. It remembers nothing from one statement to the next, so any
 * number of reapers is one that may do either at any moment. ---- */
#ifdef EARLY_SWEEP
#define SWEEP(t) atomic { sweepable(t) -> say("| the reaper finds lease %d expired\n", token[t]) skip } atomic { if :: leased[t] -> sweep(t) :: else fi; goto end_pass }
#else
#define SWEEP(t) atomic { sweepable(t) -> say("| the reaper finds lease %d expired\n", token[t]) sweep(t); goto end_pass }
#endif
/* sql/session.sql expireSessions. One that no lease names is refused alike whether it is expired or closed. */
#define CLOSE(s) atomic { session[s] == expired && names_lease(s) -> say("| the reaper closes session %d\n", s + 1) session[s] = closed; goto end_pass }

proctype Reaper() {
  byte k, h, n;
  mtype g;

end_pass:
  if
  :: CLOSE(0)
  :: CLOSE(1)
#if WORKERS > 1
  :: CLOSE(2)
  :: CLOSE(3)
#endif
  :: SWEEP(0)
#if TASKS > 1
  :: SWEEP(1)
#endif
  fi
}

/* ---- Time. ---- */
#define beaten(s) (mine[s / 2] == s)
#ifdef LIVENESS
/* What must come to pass in the end: that a session expires which nobody beats any more. */
#define may_expire(s) (session[s] == open && names_lease(s) && !beaten(s))
#else
#define may_expire(s) (session[s] == open)
#endif
#define EXPIRE(s) say("| session %d expires\n", s + 1) session[s] = expired
#define COME_DUE(t) atomic { ready[t] && !due[t] -> say("| task %d is due\n", t + 1) due[t] = true; goto end_tick }
#define PASS(t) atomic { leased[t] && !past[t] -> say("| lease %d of task %d passes its deadline\n", token[t], t + 1) past[t] = true; goto end_tick }

proctype Clock() {
end_tick:
  if
  :: atomic { may_expire(0) -> EXPIRE(0); goto end_tick }
  :: atomic { may_expire(1) -> EXPIRE(1); goto end_tick }
#if WORKERS > 1
  :: atomic { may_expire(2) -> EXPIRE(2); goto end_tick }
  :: atomic { may_expire(3) -> EXPIRE(3); goto end_tick }
#endif
  :: COME_DUE(0)
#if DEADLINES
  :: PASS(0)
#endif
#if TASKS > 1
  :: COME_DUE(1)
#if DEADLINES
  :: PASS(1)
#endif
#endif
  fi
}

#ifdef LIVENESS
/* And what only may: that a worker which lives is held up for so long that its session expires under it. While it holds
 * nothing that harms nobody, and whenever it is about to claim, for ever, is no fair clock. */
#define may_stall(s) (session[s] == open && names_lease(s) && beaten(s))
proctype Stall() {
end_steady:
  if
  :: atomic { may_stall(0) -> EXPIRE(0); goto end_steady }
  :: atomic { may_stall(1) -> EXPIRE(1); goto end_steady }
#if WORKERS > 1
  :: atomic { may_stall(2) -> EXPIRE(2); goto end_steady }
  :: atomic { may_stall(3) -> EXPIRE(3); goto end_steady }
#endif
  :: true /* never again */
  fi;
end_away:
  false
}
#endif

/* ---- A person creates each task, may cancel it (actions.ts, sql/action.sql cancelQueued, sql/lease.sql lockLeasesOfTasks), and
 * may replay it when it is dead or was canceled. ---- */
proctype Person(byte t) {
  byte h, n;
  mtype g;

  atomic { created[t] = true; ready[t] = true; due[t] = true; say("| a person creates task %d\n", t + 1) skip }
#if CANCELS || REPLAYS_MAX
end_waiting:
  if
#if CANCELS
  :: atomic { ready[t] -> ready[t] = false; due[t] = false; outcome[t] = canceled; say("| a person cancels task %d while it is queued\n", t + 1) goto end_waiting }
  :: atomic { leased[t] -> say("| a person cancels task %d while it is running\n", t + 1) end_attempt(t, cancel); goto end_waiting }
#endif
#if REPLAYS_MAX
  :: atomic { (outcome[t] == dead || outcome[t] == canceled) && replays[t] < REPLAYS_MAX -> replay(t); say("| a person replays task %d\n", t + 1) goto end_waiting }
#endif
#ifdef LIVENESS
  :: true /* never again */
#endif
  fi
#endif
}

/* ---- The network repeats a call, however late, even when its sender is gone; or an attempt is invoked twice. ---- */
#if DUPLICATES
inline delivered() { n_busy = false; n_call = 0; yes = false; forget_attempt(n_task, n_token); n_from = 0; n_task = 0; n_token = 0 }
inline copy(w) {
  n_busy = true; n_call = w_call[w]; n_from = w + 1; n_task = w_task[w]; n_token = w_token[w]
}
#define COPY(w) atomic { busy[w] && (w_call[w] || STARTS) -> copy(w) }

proctype Network() {
  byte h, n;
  mtype g;
  bool yes;
  SEEN;

end_quiet:
  if
  :: COPY(0)
#if WORKERS > 1
  :: COPY(1)
#endif
  fi;

end_underway:
  if
  :: atomic {
       is_completion(n_call) -> say("| the network brings %e with lease %d of task %d\n", n_call, n_token, n_task + 1)
       look_first(n_task, n_token, n_call);
       goto end_fencing
     }
  /* Another body with the same token. */
  :: atomic { is_completion(n_call) && n_call != retryable -> n_call = retryable; goto end_underway }
#if RELEASES_MAX
  :: atomic {
       n_call == hand_back ->
       say("| the network brings a release of lease %d of task %d\n", n_token, n_task + 1)
       release_fenced(n_task, n_token); delivered(); goto end_quiet
     }
#endif
#if STARTS
  /* The start of an invocation once more, or one that its sender did not live to repeat. */
  :: atomic {
       n_call == 0 -> start_fenced(n_task, n_token, n_from);
       say("| the network brings the start of lease %d of task %d: %e\n", n_token, n_task + 1, (yes -> accepted : stale))
       delivered(); goto end_quiet
     }
  /* A second invocation of the attempt asks to start; let in, it may complete it, or die. */
  :: atomic {
       n_call == 0 -> start_fenced(n_task, n_token, WORKERS + 1);
       say("| a second invocation starts lease %d of task %d: %e\n", n_token, n_task + 1, (yes -> accepted : stale))
       if
       :: yes -> yes = false; n_call = success; goto end_underway
       :: delivered(); goto end_quiet
       fi
     }
#endif
  fi;

end_fencing:
  atomic {
    complete_fenced(n_task, n_token, n_call);
    if
    :: yes -> delivered(); goto end_quiet
    :: else
    fi
  }
  atomic { answer_ended(n_task, n_token, n_call); delivered() }
  goto end_quiet
}
#endif

/* ---- Looks at every state; and shows that the search came to the places worth coming to, or else a proof of nothing would
 * look like a proof. verdict.ts reads from Spin's list of statements never reached which witnesses are missing. ---- */
inline look(t) {
  assert(in_one_place(t)); /* property 3: ready, lease or outcome, exactly one */ /* only when broken */
  assert(committed_once(t)); /* property 4: a commit belongs to a completed task */ /* only when broken */
  assert(counted(t)) /* property 6: counts keep within their bounds and add up */ /* only when broken */
}
#ifdef WITNESSES
hidden byte witness; /* not part of the state */
#endif
proctype Observer() {
end_looking:
  do
  :: atomic { !whole(0) -> look(0) }
#if TASKS > 1
  :: atomic { !whole(1) -> look(1) }
#endif
#ifdef WITNESSES
  :: atomic { outcome[0] == completed && losses[0] == LOSSES_MAX - 1 && failures[0] == FAILURES_MAX - 1 -> witness = 1 } /* witness: completed at the last chance */
  :: atomic { outcome[0] == dead && losses[0] == LOSSES_MAX -> witness = 1 } /* witness: dead of lost leases */
  :: atomic { outcome[0] == dead && failures[0] == FAILURES_MAX -> witness = 1 } /* witness: dead of failures */
  :: atomic { leased[0] && token[0] == 2 && told[row(0, 1)] == stale -> witness = 1 } /* witness: late completion refused while the next attempt runs */
#if DUPLICATES
  :: atomic { told[row(0, 1)] == accepted && n_call && n_call == ended[row(0, 1)] -> witness = 1 } /* witness: accepted call repeated */
  :: atomic { told[row(0, 1)] == accepted && n_call && is_completion(n_call) && n_call != ended[row(0, 1)] -> witness = 1 } /* witness: other call after the accepted one */
#endif
#if RELEASES_MAX
  :: atomic { leased[0] && token[0] == 2 && attempt[0] == 1 -> witness = 1 } /* witness: attempt number given out twice */
#endif
#if CANCELS
  :: atomic { outcome[0] == canceled && ended[row(0, 1)] == cancel -> witness = 1 } /* witness: canceled while a worker runs it */
#endif
#if STARTS && DUPLICATES
  :: atomic { nonce[0] == WORKERS + 1 -> witness = 1 } /* witness: second invocation let in first */
#endif
#if TASKS > 1
  :: atomic { leased[0] && leased[1] && holder[0] == holder[1] -> witness = 1 } /* witness: two leases of one session */
#endif
#if REPLAYS_MAX
  :: atomic { replays[0] && outcome[0] == completed -> witness = 1 } /* witness: replayed and completed */
  :: atomic { replays[0] && outcome[0] == dead && losses[0] == LOSSES_MAX -> witness = 1 } /* witness: replayed and dead again */
  :: atomic { replays[0] && leased[0] && token[0] == 2 && told[row(0, 1)] == stale -> witness = 1 } /* witness: completion of an earlier life refused while the replay runs */
#endif
#endif
  od
}

init {
  byte i;
  atomic {
    for (i : 1 .. TASKS) { run Person(i - 1) }
    for (i : 1 .. WORKERS) { run Worker(i - 1) }
    run Reaper();
#ifdef EARLY_SWEEP
    run Reaper(); /* what it noted is over only when another one swept between its statements */
#endif
    run Clock();
#ifdef LIVENESS
    run Stall();
#endif
#if DUPLICATES
    run Network();
#endif
#ifndef LIVENESS
    run Observer(); /* each process more makes the search for fair runs longer, and this one would do nothing there */
#endif
    i = 0
  }
}

#ifdef LIVENESS
/* Under weak fairness, and with one worker that always comes back: what is created ends. Tasks are alike: one is enough. */
ltl ends { [] (created[0] -> <> (outcome[0] != 0)) }
#endif
