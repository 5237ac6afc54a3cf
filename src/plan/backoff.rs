//! Whether a script is tried again, and when. Pure.

use std::time::Duration;

use crate::model::{Backoff, Jitter, Outcome, RetryPolicy};

/// The pause after which a script is tried again whose `attempt`, counted from 1, ended with `outcome`; `None` if it
/// isn't. `random`, from 0 to 1, chooses the jitter.
#[must_use]
pub fn retry(policy: &RetryPolicy, attempt: u32, outcome: &Outcome, random: f64) -> Option<Duration> {
    (attempt <= policy.count && is_tried_again(policy, outcome)).then(|| pause(policy, attempt, random))
}

fn is_tried_again(policy: &RetryPolicy, outcome: &Outcome) -> bool {
    match (&policy.on, outcome) {
        (_, Outcome::Success { .. } | Outcome::Skipped { .. } | Outcome::Interrupted { .. }) => false,
        (None, _) => true,
        (Some(on), Outcome::ExitCode { code }) => on.exit_codes.contains(code),
        (Some(on), Outcome::Timeout { .. }) => on.timeout,
        (Some(_), _) => false,
    }
}

fn pause(policy: &RetryPolicy, attempt: u32, random: f64) -> Duration {
    let pause = match policy.backoff {
        Backoff::Fixed => policy.delay,
        Backoff::Exponential => doubled(policy.delay, attempt.saturating_sub(1)),
    };
    let random = random.clamp(0.0, 1.0);
    let jitter = match policy.jitter {
        Jitter::Share(share) => pause.as_secs_f64() * share.clamp(0.0, 1.0) * random,
        Jitter::UpTo(most) => most.as_secs_f64() * random,
    };
    let pause = pause.saturating_add(Duration::try_from_secs_f64(jitter).unwrap_or(Duration::MAX));
    policy.max_delay.map_or(pause, |most| pause.min(most))
}

/// Twice, so many times; the longest duration there is where that would be more.
fn doubled(delay: Duration, times: u32) -> Duration {
    (0..times.min(128)).fold(delay, |delay, _| delay.saturating_mul(2))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{RetryOn, SkipReason};

    fn exit(code: u32) -> Outcome {
        Outcome::ExitCode { code }
    }

    #[test]
    fn only_failures_are_tried_again_and_only_so_often() {
        let policy = RetryPolicy { count: 2, delay: Duration::from_secs(1), ..RetryPolicy::default() };
        let pauses: Vec<_> = (1..=4).map(|attempt| retry(&policy, attempt, &exit(1), 0.5)).collect();
        let second = Some(Duration::from_secs(1));
        assert_eq!(pauses, [second, second, None, None]);
        for outcome in [
            Outcome::Success { code: 0 },
            Outcome::Skipped { reason: SkipReason::RunInterrupted },
            Outcome::Interrupted { by: "Ctrl-C".into() },
        ] {
            assert_eq!(retry(&policy, 1, &outcome, 0.5), None);
        }
        for outcome in [
            Outcome::Signal { signal: 9, core_dumped: false },
            Outcome::CouldNotStart { error: String::new() },
            Outcome::ExpectationNotMet { what: String::new(), code: 0 },
            Outcome::LeftBehind { processes: 1, code: 0 },
        ] {
            assert_eq!(retry(&policy, 1, &outcome, 0.5), second, "{outcome}");
        }
        assert_eq!(retry(&RetryPolicy::default(), 1, &exit(1), 0.5), None);
    }

    #[test]
    fn only_the_named_failures_are_tried_again() {
        let on = Some(RetryOn { exit_codes: vec![75], timeout: true });
        let policy = RetryPolicy { count: 1, on, ..RetryPolicy::default() };
        let timeout = Outcome::Timeout { seconds: 1.0, killed: false };
        assert!(retry(&policy, 1, &exit(75), 0.0).is_some() && retry(&policy, 1, &timeout, 0.0).is_some());
        assert!(retry(&policy, 1, &exit(1), 0.0).is_none());
        assert!(retry(&policy, 1, &Outcome::CouldNotStart { error: String::new() }, 0.0).is_none());
        assert!(retry(&policy, 1, &Outcome::ExpectationNotMet { what: String::new(), code: 75 }, 0.0).is_none());
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let policy = RetryPolicy {
            count: 100,
            backoff: Backoff::Exponential,
            delay: Duration::from_secs(2),
            max_delay: Some(Duration::from_secs(10)),
            jitter: Jitter::Share(0.5),
            on: None,
        };
        let seconds = |random: f64| {
            (1..=4).map(|attempt| retry(&policy, attempt, &exit(1), random).unwrap().as_secs()).collect::<Vec<_>>()
        };
        assert_eq!(seconds(0.0), [2, 4, 8, 10]);
        assert_eq!(seconds(1.0), [3, 6, 10, 10]);
    }

    fn policies() -> impl Strategy<Value = RetryPolicy> {
        let duration =
            || prop_oneof![Just(Duration::ZERO), Just(Duration::MAX), (0u64..1 << 40).prop_map(Duration::from_micros)];
        let jitter = prop_oneof![any::<f64>().prop_map(Jitter::Share), duration().prop_map(Jitter::UpTo)];
        let backoff = prop_oneof![Just(Backoff::Fixed), Just(Backoff::Exponential)];
        (0u32..=100, backoff, duration(), proptest::option::of(duration()), jitter).prop_map(
            |(count, backoff, delay, max_delay, jitter)| RetryPolicy {
                count,
                backoff,
                delay,
                max_delay,
                jitter,
                on: None,
            },
        )
    }

    proptest! {
        #[test]
        fn a_pause_is_within_its_limits_and_never_shrinks(policy in policies(), attempt in 1u32..200, random in any::<f64>()) {
            let now = retry(&policy, attempt, &exit(1), random);
            prop_assert_eq!(now.is_some(), attempt <= policy.count);
            let Some(now) = now else { return Ok(()) };
            prop_assert!(policy.max_delay.is_none_or(|most| now <= most));
            prop_assert!(now >= policy.max_delay.unwrap_or(Duration::MAX).min(policy.delay));
            if let Some(next) = retry(&policy, attempt + 1, &exit(1), random) {
                prop_assert!(next >= now);
            }
        }
    }
}
