//! Encodes records.

use super::bytes::{put_clock, put_duration, put_number, put_optional, put_signed, put_text};
use super::codes::{Coded, link, loss, output, tag};
use rejoin_core::{
    Actor, ConsumerId, Controller, Description, Event, JobId, JobMode, JobOutput, LinkChange,
    LossCause, Record, TerminalSize,
};

/// Appends the encoding of `record` to `out`: its moment, its actor, its redaction and its event, without session and sequence.
pub fn encode(record: &Record, out: &mut Vec<u8>) {
    put_number(out, record.at.as_millis());
    if record.clock != record.at.into() {
        out.push(tag::CLOCK);
        put_clock(out, record.moment());
    }
    if let Some(actor) = &record.actor {
        out.push(tag::ACTOR);
        put_actor(out, actor);
    }
    if let Some(redaction) = &record.redacted {
        out.push(tag::REDACTED);
        put_number(out, redaction.at.as_millis());
        put_optional(out, redaction.by.as_deref(), put_actor);
    }
    match &record.event {
        Event::SessionCreated {
            number,
            service,
            user,
            remote,
            server,
            timeout,
        } => {
            out.push(match server.node {
                None => tag::SESSION_CREATED,
                Some(_) => tag::SESSION_CREATED_AT_NODE,
            });
            put_number(out, number.0);
            put_text(out, service);
            put_optional(out, user.as_deref(), put_text);
            put_optional(out, remote.as_deref(), put_text);
            put_number(out, u64::from(server.process));
            put_text(out, &server.version);
            if let Some(node) = &server.node {
                put_text(out, node);
            }
            put_duration(out, *timeout);
        }
        Event::SessionResumed => out.push(tag::SESSION_RESUMED),
        Event::SessionTakenOver { by } => {
            out.push(tag::SESSION_TAKEN_OVER);
            put_text(out, &by.node);
            put_number(out, by.term);
        }
        Event::SessionTouched { seen } => {
            out.push(tag::SESSION_TOUCHED);
            put_number(out, seen.as_millis());
        }
        Event::UserSet { user } => {
            out.push(tag::USER_SET);
            put_text(out, user);
        }
        Event::SessionDescribed { description } => {
            out.push(tag::SESSION_DESCRIBED);
            put_description(out, description);
        }
        Event::LinkChanged { link, change } => {
            out.push(tag::LINK_CHANGED);
            put_text(out, link);
            match change {
                LinkChange::Added { expires } => {
                    out.push(link::ADDED);
                    put_number(out, expires.as_millis());
                }
                LinkChange::Removed => out.push(link::REMOVED),
                LinkChange::Joined => out.push(link::JOINED),
                LinkChange::Left => out.push(link::LEFT),
            }
        }
        Event::ConsumerJoined {
            consumer,
            timeout,
            foreground,
        } => {
            out.push(tag::CONSUMER_JOINED);
            put_consumer(out, *consumer);
            put_duration(out, *timeout);
            put_optional(out, *foreground, put_job);
        }
        Event::CursorAdvanced { consumer, to, seen } => {
            out.push(tag::CURSOR_ADVANCED);
            put_consumer(out, *consumer);
            put_number(out, to.0);
            put_number(out, seen.as_millis());
        }
        Event::ConsumerLeft { consumer, cause } => {
            out.push(tag::CONSUMER_LEFT);
            put_consumer(out, *consumer);
            out.push(cause.code());
        }
        Event::JobSubmitted {
            job,
            mode,
            statement,
            timeout,
            output_limit,
            request,
            input,
            output,
            controller,
        } => {
            let is_separate = *output == JobOutput::Separate && controller.is_none();
            let is_plain = is_separate && request.is_none() && !input;
            out.push(match (is_plain, is_separate) {
                (true, _) => tag::JOB_SUBMITTED,
                (false, true) => tag::JOB_REQUESTED,
                (false, false) => tag::JOB_WITH_OUTPUT,
            });
            put_job(out, *job);
            put_mode(out, *mode);
            put_text(out, statement);
            put_duration(out, *timeout);
            put_number(out, *output_limit);
            if !is_plain {
                put_optional(out, request.as_deref(), put_text);
                out.push(u8::from(*input));
            }
            if !is_separate {
                put_output(out, *output);
                put_controller(out, controller.as_deref());
            }
        }
        Event::TerminalResized { job, mode, size } => {
            out.push(tag::TERMINAL_RESIZED);
            put_job(out, *job);
            put_mode(out, *mode);
            put_size(out, *size);
        }
        Event::ControllerChanged {
            job,
            mode,
            controller,
        } => {
            out.push(tag::CONTROLLER_CHANGED);
            put_job(out, *job);
            put_mode(out, *mode);
            put_controller(out, controller.as_deref());
        }
        Event::LeftoversChosen { job, mode, kept } => {
            out.push(tag::LEFTOVERS_CHOSEN);
            put_job(out, *job);
            put_mode(out, *mode);
            out.push(u8::from(*kept));
        }
        Event::RecordsRedacted { records } => {
            out.push(tag::RECORDS_REDACTED);
            put_number(out, records.len() as u64);
            for record in &**records {
                put_number(out, record.0);
            }
        }
        Event::InputHidden { job, mode, bytes } => {
            out.push(tag::INPUT_HIDDEN);
            put_job(out, *job);
            put_mode(out, *mode);
            put_number(out, *bytes);
        }
        Event::ScreenCaptured {
            job,
            mode,
            after,
            size,
            content,
        } => {
            out.push(tag::SCREEN_CAPTURED);
            put_job(out, *job);
            put_mode(out, *mode);
            put_number(out, after.0);
            put_size(out, *size);
            put_text(out, content);
        }
        Event::InputWritten {
            job,
            mode,
            bytes,
            end,
        } => {
            out.push(tag::INPUT_WRITTEN);
            put_job(out, *job);
            put_mode(out, *mode);
            put_number(out, bytes.len() as u64);
            out.extend_from_slice(bytes);
            out.push(u8::from(*end));
        }
        Event::StatementRefused { statement, reason } => {
            out.push(tag::STATEMENT_REFUSED);
            put_optional(out, statement.as_deref(), put_text);
            put_text(out, reason);
        }
        Event::JobStarted { job, private } => {
            out.push(match private {
                false => tag::JOB_STARTED,
                true => tag::PRIVATE_JOB_STARTED,
            });
            put_job(out, *job);
        }
        Event::ResultEmitted {
            job,
            mode,
            result,
            position,
        } => {
            out.push(match position {
                None => tag::RESULT_EMITTED,
                Some(_) => tag::RESULT_POSITIONED,
            });
            put_job(out, *job);
            put_mode(out, *mode);
            if let Some(position) = position {
                out.push(position.stream.code());
                put_number(out, position.bytes);
            }
            put_text(out, result);
        }
        Event::InterruptRequested {
            job,
            cause,
            private,
        } => {
            out.push(match private {
                false => tag::INTERRUPT_REQUESTED,
                true => tag::PRIVATE_INTERRUPT_REQUESTED,
            });
            put_job(out, *job);
            out.push(cause.code());
        }
        Event::JobFinished {
            job,
            mode,
            outcome,
            status,
            message,
        } => {
            out.push(tag::JOB_FINISHED);
            put_job(out, *job);
            put_mode(out, *mode);
            out.push(outcome.code());
            put_signed(out, *status);
            put_optional(out, message.as_deref(), put_text);
        }
        Event::SessionClosed { cause } => {
            out.push(tag::SESSION_CLOSED);
            out.push(cause.code());
        }
        Event::RecordsLost { first, last, cause } => {
            out.push(tag::RECORDS_LOST);
            put_number(out, first.0);
            put_number(out, last.0);
            match cause {
                LossCause::Damage => out.push(loss::DAMAGE),
                LossCause::Retention {
                    last_number,
                    last_job,
                } => {
                    out.push(loss::RETENTION);
                    put_number(out, last_number.0);
                    put_job(out, *last_job);
                }
            }
        }
    }
}

pub(super) fn put_actor(out: &mut Vec<u8>, actor: &Actor) {
    let Actor {
        account,
        token,
        frontend,
        address,
    } = actor;
    put_optional(out, account.as_deref(), put_text);
    put_optional(out, token.as_deref(), put_text);
    put_text(out, frontend);
    put_optional(out, address.as_deref(), put_text);
}

pub(super) fn put_description(out: &mut Vec<u8>, description: &Description) {
    let Description { title, labels } = description;
    put_optional(out, title.as_deref(), put_text);
    put_number(out, labels.len() as u64);
    for (key, value) in labels {
        put_text(out, key);
        put_text(out, value);
    }
}

pub(super) fn put_job(out: &mut Vec<u8>, job: JobId) {
    put_number(out, job.0);
}

pub(super) fn put_consumer(out: &mut Vec<u8>, consumer: ConsumerId) {
    out.extend_from_slice(&consumer.token);
    put_number(out, u64::from(consumer.ordinal));
}

pub(super) fn put_mode(out: &mut Vec<u8>, mode: JobMode) {
    out.push(mode.slot.code());
    out.push(mode.visibility.code());
}

pub(super) fn put_output(out: &mut Vec<u8>, output: JobOutput) {
    match output {
        JobOutput::Merged => out.push(output::MERGED),
        JobOutput::Separate => out.push(output::SEPARATE),
        JobOutput::Terminal(size) => {
            out.push(output::TERMINAL);
            put_size(out, size);
        }
    }
}

pub(super) fn put_size(out: &mut Vec<u8>, size: TerminalSize) {
    put_number(out, size.columns.into());
    put_number(out, size.rows.into());
}

pub(super) fn put_controller(out: &mut Vec<u8>, controller: Option<&Controller>) {
    put_optional(out, controller, |out, Controller { client, user }| {
        put_text(out, client);
        put_optional(out, user.as_deref(), put_text);
    });
}
