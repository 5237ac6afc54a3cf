//! How many runs may be under way on the machine at once, as the environment has it.

use super::{Environment, env_vars};

/// More can't be asked for.
const MOST: u32 = 10_000;

/// What `RUNNER_MAX_RUNS` allows; `None`: any number. What a script of a run starts isn't counted: it would wait for a place that
/// the run has which waits for it.
///
/// # Errors
/// When the value isn't a whole number that makes sense; says what to do about it.
pub fn most_runs(env: &Environment) -> Result<Option<u32>, String> {
    let Some(value) = env.get(env_vars::MAX_RUNS) else { return Ok(None) };
    let text = value.to_string_lossy();
    let most = text.trim().parse().ok().filter(|most| (1..=MOST).contains(most));
    match most {
        Some(_) if env.get(env_vars::RUN_ID).is_some() => Ok(None),
        Some(most) => Ok(Some(most)),
        None => Err(format!(
            "the variable {} is `{text}`, which is no whole number from 1 to {MOST}; set it to how many runs may be under \
             way on this machine at once, or unset it",
            env_vars::MAX_RUNS
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_runs_is_whole_and_at_least_one() {
        let most = |pairs: &[(&str, &str)]| most_runs(&Environment::from_pairs(pairs.iter().copied()));
        assert_eq!(most(&[]), Ok(None));
        assert_eq!(most(&[("RUNNER_MAX_RUNS", " 4 ")]), Ok(Some(4)));
        assert_eq!(most(&[("RUNNER_MAX_RUNS", "4"), ("RUNNER_RUN_ID", "0123456789abc")]), Ok(None));
        for bad in ["", "0", "-1", "2.5", "many", "10001", "99999999999"] {
            let error = most(&[("RUNNER_MAX_RUNS", bad)]).unwrap_err();
            assert!(error.contains("RUNNER_MAX_RUNS") && error.contains(&format!("`{bad}`")), "{error}");
        }
    }
}
