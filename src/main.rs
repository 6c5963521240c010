//! Parses the command line and dispatches; nothing else.
fn main() {
    print!("{}", ack_offboarding_operator::api::crd_yaml().unwrap());
}
