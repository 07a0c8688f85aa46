//! One of each event, and its bytes.

use rejoin_core::{
    CloseCause, ConsumerId, Controller, Description, Event, Instant, InterruptCause, JobId,
    JobMode, JobOutput, JobSlot, LeaveCause, LinkChange, LossCause, NodeTerm, Outcome,
    OutputPosition, OutputStream, Sequence, Server, SessionNumber, TerminalSize, Visibility,
};
use std::sync::Arc;
use std::time::Duration;

/// One of each event, and the bytes that stand for it for ever.
pub(crate) fn golden() -> Vec<(Event, Vec<u8>)> {
    let consumer = ConsumerId {
        token: *b"0123456789abcdef",
        ordinal: 2,
    };
    let mode = JobMode {
        slot: JobSlot::Background,
        visibility: Visibility::Submitter,
    };
    let front = JobMode {
        slot: JobSlot::Foreground,
        visibility: Visibility::Session,
    };
    let job = JobId(300);
    let size = TerminalSize {
        columns: 300,
        rows: 24,
    };
    let anna = Arc::new(Controller {
        client: "c".into(),
        user: Some("anna".into()),
    });
    let bytes = |parts: &[&[u8]]| parts.concat();
    let token: &[u8] = b"0123456789abcdef";
    vec![
        (
            Event::SessionCreated {
                number: SessionNumber(5),
                service: "shell".into(),
                user: Some("anna".into()),
                remote: None,
                server: Server {
                    process: 4321,
                    version: "0.1.0".into(),
                    node: None,
                },
                timeout: Duration::from_millis(1_800_500),
            },
            bytes(&[
                b"\x01\x05\x05shell\x01\x04anna\x00\xe1\x21\x050.1.0\x88\x0e",
                b"\x80\xca\xb5\xee\x01",
            ]),
        ),
        (Event::SessionResumed, b"\x02".to_vec()),
        (
            Event::SessionCreated {
                number: SessionNumber(5),
                service: "shell".into(),
                user: None,
                remote: None,
                server: Server {
                    process: 1,
                    version: "2".into(),
                    node: Some("n1".into()),
                },
                timeout: Duration::from_secs(9),
            },
            b"\x3e\x05\x05shell\x00\x00\x01\x012\x02n1\x09\x00".to_vec(),
        ),
        (
            Event::SessionTakenOver {
                by: Arc::new(NodeTerm {
                    node: "n2".into(),
                    term: 300,
                }),
            },
            b"\x38\x02n2\xac\x02".to_vec(),
        ),
        (
            Event::SessionTouched {
                seen: Instant::from_millis(128),
            },
            b"\x03\x80\x01".to_vec(),
        ),
        (
            Event::UserSet {
                user: "zoë".into()
            },
            b"\x04\x04zo\xc3\xab".to_vec(),
        ),
        (
            Event::ConsumerJoined {
                consumer,
                timeout: Duration::from_secs(60),
                foreground: Some(job),
            },
            bytes(&[b"\x05", token, b"\x02\x3c\x00\x01\xac\x02"]),
        ),
        (
            Event::CursorAdvanced {
                consumer,
                to: Sequence(u64::MAX),
                seen: Instant::FIRST,
            },
            bytes(&[
                b"\x06",
                token,
                b"\x02\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00",
            ]),
        ),
        (
            Event::ConsumerLeft {
                consumer,
                cause: LeaveCause::Expired,
            },
            bytes(&[b"\x07", token, b"\x02\x01"]),
        ),
        (
            Event::JobSubmitted {
                job,
                mode,
                statement: "ls".into(),
                timeout: Duration::ZERO,
                output_limit: 1 << 20,
                request: None,
                input: false,
                output: JobOutput::Separate,
                controller: None,
            },
            b"\x08\xac\x02\x01\x01\x02ls\x00\x00\x80\x80\x40".to_vec(),
        ),
        (
            Event::StatementRefused {
                statement: None,
                reason: "empty".into(),
            },
            b"\x09\x00\x05empty".to_vec(),
        ),
        (
            Event::JobStarted {
                job,
                private: false,
            },
            b"\x0a\xac\x02".to_vec(),
        ),
        (
            Event::ResultEmitted {
                job,
                mode: front,
                result: "{}".into(),
                position: None,
            },
            b"\x0b\xac\x02\x00\x00\x02{}".to_vec(),
        ),
        (
            Event::InterruptRequested {
                job,
                cause: InterruptCause::Shutdown,
                private: false,
            },
            b"\x0c\xac\x02\x04".to_vec(),
        ),
        (
            Event::JobFinished {
                job,
                mode: front,
                outcome: Outcome::Lost,
                status: -2,
                message: Some("gone".into()),
            },
            b"\x0d\xac\x02\x00\x00\x04\x03\x01\x04gone".to_vec(),
        ),
        (
            Event::SessionClosed {
                cause: CloseCause::Idle,
            },
            b"\x0e\x01".to_vec(),
        ),
        (
            Event::JobSubmitted {
                job,
                mode,
                statement: "ls".into(),
                timeout: Duration::ZERO,
                output_limit: 1 << 20,
                request: Some("r1".into()),
                input: false,
                output: JobOutput::Separate,
                controller: None,
            },
            b"\x0f\xac\x02\x01\x01\x02ls\x00\x00\x80\x80\x40\x01\x02r1\x00".to_vec(),
        ),
        (
            Event::JobSubmitted {
                job,
                mode: front,
                statement: "ls".into(),
                timeout: Duration::ZERO,
                output_limit: 1 << 20,
                request: None,
                input: false,
                output: JobOutput::Merged,
                controller: None,
            },
            b"\x15\xac\x02\x00\x00\x02ls\x00\x00\x80\x80\x40\x00\x00\x00\x00".to_vec(),
        ),
        (
            Event::JobSubmitted {
                job,
                mode: front,
                statement: "".into(),
                timeout: Duration::ZERO,
                output_limit: 1 << 20,
                request: Some("r1".into()),
                input: true,
                output: JobOutput::Terminal(size),
                controller: Some(anna.clone()),
            },
            bytes(&[
                b"\x15\xac\x02\x00\x00\x00\x00\x00\x80\x80\x40\x01\x02r1\x01",
                b"\x02\xac\x02\x18\x01\x01c\x01\x04anna",
            ]),
        ),
        (
            Event::TerminalResized {
                job,
                mode: front,
                size,
            },
            b"\x16\xac\x02\x00\x00\xac\x02\x18".to_vec(),
        ),
        (
            Event::ControllerChanged {
                job,
                mode: front,
                controller: Some(anna),
            },
            b"\x17\xac\x02\x00\x00\x01\x01c\x01\x04anna".to_vec(),
        ),
        (
            Event::ControllerChanged {
                job,
                mode: front,
                controller: None,
            },
            b"\x17\xac\x02\x00\x00\x00".to_vec(),
        ),
        (
            Event::LeftoversChosen {
                job,
                mode: front,
                kept: true,
            },
            b"\x28\xac\x02\x00\x00\x01".to_vec(),
        ),
        (
            Event::RecordsRedacted {
                records: [Sequence(5), Sequence(300)].into(),
            },
            b"\x29\x02\x05\xac\x02".to_vec(),
        ),
        (
            Event::InputHidden {
                job,
                mode: front,
                bytes: 7,
            },
            b"\x18\xac\x02\x00\x00\x07".to_vec(),
        ),
        (
            Event::ScreenCaptured {
                job,
                mode: front,
                after: Sequence(129),
                size,
                content: "$ ".into(),
            },
            b"\x19\xac\x02\x00\x00\x81\x01\xac\x02\x18\x02$ ".to_vec(),
        ),
        (
            Event::InputWritten {
                job,
                mode: front,
                bytes: b"\xff\n"[..].into(),
                end: true,
            },
            b"\x10\xac\x02\x00\x00\x02\xff\n\x01".to_vec(),
        ),
        (
            Event::RecordsLost {
                first: Sequence(3),
                last: Sequence(300),
                cause: LossCause::Damage,
            },
            b"\x11\x03\xac\x02\x00".to_vec(),
        ),
        (
            Event::JobStarted { job, private: true },
            b"\x12\xac\x02".to_vec(),
        ),
        (
            Event::InterruptRequested {
                job,
                cause: InterruptCause::Shutdown,
                private: true,
            },
            b"\x13\xac\x02\x04".to_vec(),
        ),
        (
            Event::ResultEmitted {
                job,
                mode: front,
                result: "{}".into(),
                position: Some(OutputPosition {
                    stream: OutputStream::Stderr,
                    bytes: 300,
                }),
            },
            b"\x14\xac\x02\x00\x00\x01\xac\x02\x02{}".to_vec(),
        ),
        (
            Event::SessionDescribed {
                description: Arc::new(Description {
                    title: Some("Release".into()),
                    labels: [("env", "live"), ("team", "")]
                        .map(|(key, value)| (key.into(), value.into()))
                        .into(),
                }),
            },
            b"\x23\x01\x07Release\x02\x03env\x04live\x04team\x00".to_vec(),
        ),
        (
            Event::LinkChanged {
                link: "k1".into(),
                change: LinkChange::Added {
                    expires: rejoin_core::Timestamp::from_millis(300),
                },
            },
            b"\x2e\x02k1\x00\xac\x02".to_vec(),
        ),
        (
            Event::LinkChanged {
                link: "k1".into(),
                change: LinkChange::Left,
            },
            b"\x2e\x02k1\x03".to_vec(),
        ),
    ]
}
