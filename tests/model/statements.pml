/*
 * Statements and transactions of the dispatcher. Each is used inside an atomic, as its rows are locked from the first look
 * to the commit; g, h and n are scratch of the process. docs/model.md says which code each stands for.
 */

/* rules/machine.ts, rules/attempt.ts endOfAttempt, sql/lease.sql endAttempts: the lease goes, history stays, the task moves on. */
inline end_attempt(t, how) {
  assert(leased[t]); /* property 1: only the row of a lease ends an attempt */
  g = queued;
  if
  :: how == success -> g = completed
  :: how == terminal -> failures[t]++; g = dead
#ifdef LOSS_IS_FAILURE
  :: how == retryable || how == overdue || how == lost ->
#else
  :: how == retryable || how == overdue ->
#endif
       failures[t]++;
       if
       :: failures[t] >= FAILURES_MAX -> g = dead
       :: else
       fi
#ifndef LOSS_IS_FAILURE
  :: how == lost ->
       losses[t]++;
       if
       :: losses[t] >= LOSSES_MAX -> g = dead
       :: else
       fi
#endif
  :: how == hand_back -> attempt[t]--; handed_back[t]++
  :: how == snooze -> snoozed[t]++
  :: how == cancel -> g = canceled
  fi;
  n = token[t];
  h = holder[t];
#ifdef CANCEL_LEAVES_LEASE
  if
  :: how == cancel
  :: else ->
       leased[t] = false; token[t] = 0; holder[t] = 0; past[t] = false; nonce[t] = 0; admitted[t] = 0
  fi;
#else
  leased[t] = false; token[t] = 0; holder[t] = 0; past[t] = false; nonce[t] = 0; admitted[t] = 0;
#endif
  ended[row(t, n)] = how;
  became[row(t, n)] = g;
  say("| lease %d of task %d has ended: %e; the task is %e\n", n, t + 1, how, g)
  if
  :: g == queued ->
       assert(!ready[t]); /* property 3: one ready row */
       ready[t] = true;
       /* Lost and released tasks are due at once, failed and snoozed ones when the clock says so. */
       due[t] = (how == lost || how == hand_back)
  :: else ->
       assert(!outcome[t]); /* property 3: one outcome */
       outcome[t] = g
  fi;
  forget_session(h);
  forget_attempt(t, n);
  g = 0; h = 0; n = 0
}

/* sql/lease.sql lockLeases, completePlain: the fence. A lease that is not live never becomes so again: the look that
 * completions.ts takes before, outside of the transaction, adds nothing; `seen` is what it saw, for the defect that trusts it. */
#if defined(NO_FENCE)
#define fence(t, k) (live(t))
#elif defined(ATTEMPT_FENCE)
#define fence(t, k) (live(t) && attempt[t] == number[row(t, k)])
#elif defined(EARLY_JUDGE)
#define fence(t, k) (leased[t] && token[t] == k && seen)
#else
#define fence(t, k) (live(t) && token[t] == k)
#endif
#if defined(EARLY_JUDGE)
#define look_first(t, k, call) seen = (live(t) && token[t] == k)
#define SEEN bool seen
#elif defined(COMMIT_APART)
#define look_first(t, k, call) if :: call == success && fence(t, k) -> say("| the dispatcher commits what task %d wrote\n", t + 1) commits[t]++ :: else fi
#define SEEN
#else
#define look_first(t, k, call) skip
#define SEEN
#endif

/* completions.ts #completePlain, #completeTogether, #publish: lock, judge, commit and end the attempt, in one transaction. */
inline complete_fenced(t, k, how) {
  if
  :: fence(t, k) ->
       say("| the dispatcher accepts %e with lease %d; the last lease of task %d is %d\n", how, k, t + 1, issued[t])
       assert(token[t] == k && k == issued[t]); /* property 2: a stale token changes nothing */
       assert(live(t)); /* property 2: nothing is accepted after expiry */
       assert(told[row(t, k)] == 0); /* property 7: nor after a refusal, nor twice */
#ifndef COMMIT_APART
       if
       :: how == success -> commits[t]++
       :: else
       fi;
#endif
       assert(commits[t] <= 1); /* property 4: at most one commit */
       told[row(t, k)] = accepted;
       told_of[row(t, k)] = how;
       end_attempt(t, how);
       if
       :: outcome[t] -> told_became[row(t, k)] = outcome[t]
       :: else -> told_became[row(t, k)] = queued
       fi;
       yes = true
  :: else -> yes = false
  fi
}

/* completions.ts answerAgain, sql/lease.sql findAttempts: what a token without a live lease is told. */
inline answer_ended(t, k, how) {
  n = row(t, k);
  g = stale;
#ifndef FORGETFUL
  if
  :: ended[n] == how -> g = accepted
  :: ended[n] != how && is_completion(ended[n]) -> g = already
  :: else
  fi;
#endif
  say("| the dispatcher answers %e with lease %d: %e\n", how, k, g)
  if
  :: told[n] == 0 || told[n] == stale ->
       assert(g == stale); /* property 7: stale for ever */
       told[n] = stale
  :: told[n] == accepted && told_of[n] == how ->
       assert(g == accepted && became[n] == told_became[n]) /* property 7: same call, same answer */
  :: told[n] == accepted && told_of[n] != how ->
       assert(g == already && became[n] == told_became[n]) /* property 7: another body learns of the first result */
  fi;
  g = 0; n = 0
}

/* completions.ts release: the same fence. */
#ifdef ATTEMPT_FENCE
#define release_fence(t, k) fence(t, k)
#else
#define release_fence(t, k) (live(t) && token[t] == k)
#endif
inline release_fenced(t, k) {
  if
  :: release_fence(t, k) ->
       say("| the dispatcher accepts the release of lease %d; the last lease of task %d is %d\n", k, t + 1, issued[t])
       assert(token[t] == k && live(t)); /* property 2: a stale token releases nothing */
       end_attempt(t, hand_back);
       yes = true
  :: else -> yes = false
  fi
}

/* sql/lease.sql startAttempts: an attempt is bound to one invocation. The same invocation may ask again, as the answer may have been lost. Its
 * deadline begins anew, which is no step here: only a lease that is not past its deadline can be started. */
#ifdef START_TWICE
#define unbound(t, who) (nonce[t] != who)
#else
#define unbound(t, who) (nonce[t] == 0)
#endif
inline start_fenced(t, k, who) {
  if
  :: live(t) && token[t] == k && unbound(t, who) ->
       nonce[t] = who;
       admitted[t]++;
       assert(admitted[t] == 1); /* property 1: one invocation of an attempt */
       yes = true
  :: live(t) && token[t] == k && nonce[t] == who -> yes = true
  :: else -> yes = false
  fi
}

/* sql/claim.sql claimTasks: with a session that is live under its lock, the ready row becomes a lease. */
#define claimable(w, t) (mine[w] != NONE && session[mine[w]] == open && ready[t] && due[t])
#ifdef TORN_CLAIM
#define TEAR } atomic {
#else
#define TEAR
#endif

/* loops/reaper.ts, sql/lease.sql lockExpiredLeases: a lease of a closed session is lost, one past its deadline overdue. */
#ifdef NO_SWEEP
#define sweepable(t) (leased[t] && past[t])
#else
#define sweepable(t) (leased[t] && (past[t] || session[holder[t]] == closed))
#endif
inline sweep(t) {
  assert(!live(t)); /* property 1: a live lease is never swept */
  if
  :: session[holder[t]] == closed ->
       k = failures[t];
       end_attempt(t, lost);
       assert(failures[t] == k) /* property 6: a loss is no failure */
  :: else ->
       k = losses[t];
       end_attempt(t, overdue);
       assert(losses[t] == k) /* property 6: a failure is no loss */
  fi;
  k = 0
}

/* sql/action.sql replayTasks: the outcome row of a task that is dead or was canceled becomes a ready row, with its counts at zero. Attempt
 * numbers go on, and so do lease numbers: whoever still holds a token of an earlier life holds a stale one. */
inline replay(t) {
  assert(!ready[t] && !leased[t]); /* property 3: a replayed task was in no other place */
  outcome[t] = 0;
#ifndef REPLAY_KEEPS_COUNTS
  failures[t] = 0; losses[t] = 0;
#endif
  ready[t] = true; due[t] = true;
  before[t] = issued[t] - handed_back[t] - snoozed[t];
  replays[t]++
}
