"""Our side of OAuth at a provider: clients, consent, tokens, and their refresh.

**Consent** (`consent`): asked (a state, good for one answer in one browser) -> answered -> the code is redeemed and the
tokens are stored in one decision, as a new *set*; or the answer is a failure, and the connection says which.

**A set of tokens** (`stored_tokens`, the table `token_sets`) is what one consent gave. It has an identity of its own
and generations, and is never restarted: a new consent, a new client or a voided secret ends it, and whatever still
comes for it (a late answer, one that was kept aside) finds that it is gone.

**Refresh** (`refresh`, `refresh_decisions`). A refresh token that its provider rotates exists, for a moment, in the
answer alone, and sending it twice may end the grant. The states of a set:

- *idle*: nobody is at it. A token that is about to run out, or is due, or was refused by its API, begins an attempt.
- *attempting*: one statement has taken the lease, for the set and its present generation. Room for the answer is
  reserved on disk before anything is sent. Everybody else waits for the outcome, in the same process or another, and no
  longer than 20 seconds: then they are told to come back (503, `Retry-After`). The attempt goes on without them, for a
  minute, and its answer is stored. No time of day ends a lease: set clocks send no token twice.
    - answered with tokens: stored as the next generation -> idle. Stored only for the set and generation that it began
      with and by the holder of the present fence; one that came too late is kept sealed with its set (an *orphan*), one
      that the database does not take is kept sealed in the reserved file. Both are adopted before anybody asks again.
    - answered that it passes (429, 5xx, no OAuth error), or not answered at all, so that nobody knows whether the token
      was used up -> *blocked* for a backoff that grows, or as long as the provider said (at most a day).
    - the grant is refused -> *blocked* for good: the person must allow it anew, which makes another set.
    - our client is refused -> *blocked* for a backoff, or until its id or secret is changed.
    - the process dies: who shares its data folder notices, and it is *blocked* like any end that nobody knows. Others
      wait until they have seen the lease, unchanged, for longer than an attempt takes (`leases`).
- *blocked*: nobody asks, whoever wants it. A token that still lives is handed out; else the reason is told.

A clock that is set back moves a block back with it. At the end of the process, attempts under way are waited
for. Without a known end, or with a long one, a set is refreshed before its refresh token lapses unused: after the
provider's idle time, else 30 days, and before the end that was named for the refresh token itself.
"""
