//! The only integration binary: the real program run as a child process, and the rules of the project.

mod alloc;
mod cli;
mod config;
mod es;
mod fuzz;
mod golden;
mod lab;
mod net;
mod real;
mod running;
mod samples;
mod tail;
mod tidy;
