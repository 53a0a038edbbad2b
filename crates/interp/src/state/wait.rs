use std::time::Duration;

use asl::{JsonataField, Seconds, State, Wait};
use base::Timestamp;

use super::{Flow, data};
use crate::failure::Failure;
use crate::frame::{Activity, FrameId};
use crate::run::{Run, next_of};

/// AWS's limit of seconds in any field.
pub(crate) const SECONDS_MAX: u64 = 99_999_999;

/// Waits, unless the time has come already.
pub(crate) fn execute(run: &mut Run<'_, '_>, id: FrameId, state: &State, wait: &Wait) -> Result<Flow, Failure> {
    let at = time(run, id, state, wait)?;
    if at <= run.env.now {
        return exit(run, id, state);
    }
    run.position.frame_mut(id).activity = Activity::Wait(run.start_timer(Some(id), at));
    Ok(Flow::Open)
}

/// The time has come.
pub(crate) fn timer_fired(run: &mut Run<'_, '_>, id: FrameId, state: &State) -> Result<Flow, Failure> {
    run.position.frame_mut(id).activity = Activity::Execute;
    exit(run, id, state)
}

fn exit(run: &mut Run<'_, '_>, id: FrameId, state: &State) -> Result<Flow, Failure> {
    data::pass_on(run, id, state, (state.assign.as_ref(), state.output.as_ref()), next_of(state))
}

fn time(run: &mut Run<'_, '_>, id: FrameId, state: &State, wait: &Wait) -> Result<Timestamp, Failure> {
    let input = data::effective_input(run, id, state)?;
    let now = run.env.now;
    match wait {
        Wait::Seconds(Seconds::Literal(seconds)) => Ok(now + Duration::from_secs(*seconds)),
        Wait::Seconds(Seconds::Path(path)) => {
            Ok(now + Duration::from_secs(data::refer_to_seconds(run, id, path, "SecondsPath", &input)?))
        }
        Wait::Seconds(Seconds::Jsonata(expression)) => {
            let field = JsonataField::new(&"Seconds", expression);
            let seconds = data::query(run, id, state, field, |field, env| field.integer(0..=SECONDS_MAX, env))?;
            Ok(now + Duration::from_secs(seconds))
        }
        Wait::TimestampJsonata(expression) => {
            data::query(run, id, state, JsonataField::new(&"Timestamp", expression), JsonataField::timestamp)
        }
        Wait::Timestamp(text) => Timestamp::parse_rfc3339(text)
            .map_err(|e| Failure::runtime(format_args!("The Timestamp parameter is not valid: {e}"))),
        Wait::TimestampPath(path) => {
            let value = data::refer(run, id, path, "TimestampPath", &input)?;
            value.as_str().and_then(|text| Timestamp::parse_rfc3339(text).ok()).ok_or_else(|| {
                Failure::runtime(format_args!(
                    "The TimestampPath parameter does not reference a valid ISO-8601 extended offset date-time \
                     format string: {} == {}",
                    path.as_str(),
                    data::bare(value)
                ))
            })
        }
    }
}
