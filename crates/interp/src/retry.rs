use std::time::Duration;

use asl::{Jitter, Retrier, State};

use crate::failure::Failure;
use crate::frame::{Activity, FrameId};
use crate::inspection::{HandledError, Handler};
use crate::run::Run;

/// No backoff is longer: AWS's largest `MaxDelaySeconds` is below a year, and so is an execution.
const DELAY_SECONDS_MAX: f64 = 31_536_000.0;

/// Plans another try of the frame's state, if the first retrier that knows the error allows one more.
pub(crate) fn try_again(run: &mut Run<'_, '_>, id: FrameId, state: &State, failure: &Failure) -> bool {
    let Some(index) = state.retry.iter().position(|r| failure.is_one_of(&r.error_equals)) else { return false };
    let retrier = &state.retry[index];
    let frame = run.position.frame_mut(id);
    frame.retrier_attempts.resize(state.retry.len(), 0);
    let tested = run.test.as_ref().map(|test| test.given.retrier_attempts.unwrap_or(0));
    let frame = run.position.frame_mut(id);
    let attempts = tested.unwrap_or(frame.retrier_attempts[index]);
    if attempts >= retrier.max_attempts {
        return false;
    }
    if tested.is_some() {
        let wait = delay(retrier, attempts, run.env.random);
        see(run, index, wait, failure);
        run.position.frame_mut(id).activity = Activity::Execute;
        return true;
    }
    frame.retrier_attempts[index] += 1;
    frame.retry_count = frame.retry_count.saturating_add(1);
    let wait = delay(retrier, attempts, run.env.random);
    run.position.frame_mut(id).activity = if wait.is_zero() {
        run.position.ready.push_back(id);
        Activity::Execute
    } else {
        let at = run.env.now + wait;
        Activity::Backoff(run.start_timer(Some(id), at))
    };
    true
}

/// A tested state is not tried again: it is noted that it would be.
fn see(run: &mut Run<'_, '_>, index: usize, wait: Duration, failure: &Failure) {
    let handler = Handler::Retry { index, wait_seconds: wait.as_secs_f64() };
    let (error, cause) = (failure.error.clone(), failure.cause.clone());
    run.see(|seen| seen.handled = Some(HandledError { error, cause, handler }));
}

/// How long to wait before the try after `attempts` earlier ones.
fn delay(retrier: &Retrier, attempts: u64, random: &mut dyn FnMut() -> u64) -> Duration {
    let growth = retrier.backoff_rate.powf(attempts as f64);
    let longest = retrier.max_delay_seconds.map_or(DELAY_SECONDS_MAX, |s| (s as f64).min(DELAY_SECONDS_MAX));
    let seconds = (retrier.interval_seconds as f64 * growth).min(longest);
    let seconds = match retrier.jitter {
        Jitter::None => seconds,
        Jitter::Full => seconds * ((random() >> 11) as f64 / (1u64 << 53) as f64),
    };
    Duration::from_millis((seconds * 1000.0).round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(interval: u64, rate: f64, longest: Option<u64>, jitter: Jitter, random: u64) -> Vec<f64> {
        let retrier = Retrier {
            error_equals: vec![],
            interval_seconds: interval,
            max_attempts: 3,
            backoff_rate: rate,
            max_delay_seconds: longest,
            jitter,
        };
        (0..5).map(|n| delay(&retrier, n, &mut || random).as_secs_f64()).collect()
    }

    #[test]
    fn delays_grow_up_to_their_limit() {
        assert_eq!(seconds(3, 2.0, None, Jitter::None, 0), [3.0, 6.0, 12.0, 24.0, 48.0]);
        assert_eq!(seconds(3, 1.5, Some(7), Jitter::None, 0), [3.0, 4.5, 6.75, 7.0, 7.0]);
        assert_eq!(seconds(1, 1.0, None, Jitter::None, 0), [1.0; 5]);
        assert_eq!(seconds(4, 2.0, Some(10), Jitter::Full, u64::MAX / 2), [2.0, 4.0, 5.0, 5.0, 5.0]);
        assert_eq!(seconds(4, 2.0, None, Jitter::Full, 0), [0.0; 5]);
        assert_eq!(seconds(u64::MAX, f64::MAX, None, Jitter::None, 0), [DELAY_SECONDS_MAX; 5]);
    }
}
