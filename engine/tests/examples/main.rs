//! The programs in `examples/`, which the book shows: each prints the expected output.

#[path = "../../examples/custom_runner.rs"]
#[allow(dead_code, reason = "`main` is called where it is a program")]
mod custom_runner;
#[cfg(unix)]
#[path = "../../examples/embed_smol.rs"]
#[allow(dead_code, reason = "`main` is called where it is a program")]
mod embed_smol;
#[cfg(unix)]
#[path = "../../examples/embed_tokio.rs"]
#[allow(dead_code, reason = "`main` is called where it is a program")]
mod embed_tokio;

#[cfg(unix)]
#[test]
fn what_was_said_on_smol_is_there_after_the_engine_was_opened_again() {
    let directory = tempfile::tempdir().unwrap();
    let said = said(|out| smol::block_on(embed_smol::run(directory.path(), out)));
    let one = r#"{"content":"one\n","jobId":1,"stream":"stdout","type":"shell"}"#;
    let pear = r#"{"content":"a pear\n","jobId":2,"stream":"stdout","type":"shell"}"#;
    let (before, after) = said.split_once("Opened again:\n").unwrap();
    assert_eq!(before, after, "the same records, with the same sequences");
    let read: Vec<_> = before
        .lines()
        .map(|line| line.split_once(": ").unwrap().1)
        .collect();
    assert_eq!(read, [one, pear]);
}

#[cfg(unix)]
#[test]
fn two_viewers_on_tokio_see_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let said = said(|out| embed_tokio::run(directory.path(), out));
    let seen = "one\ntwo\nthree\n";
    assert_eq!(said, format!("Viewer 1 saw:\n{seen}Viewer 2 saw:\n{seen}"));
}

#[test]
fn a_runner_of_ones_own_keeps_a_stock_for_its_session() {
    let said = said(|out| smol::block_on(custom_runner::run(out)));
    let expected = "\
> add pears 3
Completed: done
> add apples 2
Completed: done
> add pears 4
Completed: done
> list
{\"count\":2,\"jobId\":4,\"name\":\"apples\",\"type\":\"stock\"}
{\"count\":7,\"jobId\":4,\"name\":\"pears\",\"type\":\"stock\"}
Completed: done
> sell pears
Failed: say: add NAME COUNT, or: list
";
    assert_eq!(said, expected);
}

fn said<E: std::fmt::Debug>(program: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> String {
    let mut out = Vec::new();
    program(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}
