//! Runs the program in `examples/`, which the book refers to.

#[path = "../../examples/own_property.rs"]
#[allow(dead_code, reason = "`main` is called where it is a program")]
mod own_property;

#[test]
fn a_property_of_ones_own_is_held_over_whatever_happens() {
    let (records, billed) = own_property::check(200);
    assert!(records > 5_000, "the stories are long: {records}");
    assert!(billed > 5_000, "and there is something to bill: {billed}");
}
