//! Tests of the whole program from outside, in one binary so that linking is paid once.
//! Each test has a folder and a port of its own; none waits for time to pass.

mod cli_commands;
mod cli_orders;
mod cli_serve;
mod cli_support;
