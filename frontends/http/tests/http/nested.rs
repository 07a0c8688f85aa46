//! The routes as a tide application inside another one.

#[path = "../../examples/nest_in_tide.rs"]
#[expect(dead_code, reason = "`main` is the program's, `run` is called here")]
mod nest_in_tide;

#[test]
fn routes_nested_in_a_tide_application_answer_its_requests() {
    assert_eq!(
        smol::block_on(nest_in_tide::run()).unwrap(),
        "Welcome anna!"
    );
}
