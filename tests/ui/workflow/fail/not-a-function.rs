use chrono_forge::prelude::*;

#[workflow]
struct Run;

fn main() {}
