//! The program `adaplace`.

fn main() {}
