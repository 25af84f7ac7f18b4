//! The mqtt plugins beside scripted peers and a real mosquitto.

mod client;
mod mosquitto;
mod output;
mod server;
mod subscriber;
