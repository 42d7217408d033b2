//! The `postrider` program.

use postrider::Postrider;
use std::process::ExitCode;

fn main() -> ExitCode {
    Postrider::new().main()
}
