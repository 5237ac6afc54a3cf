//! A script that misbehaves on request.

fn main() {}
