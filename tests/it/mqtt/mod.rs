//! The mqtt plugins beside scripted peers and a real mosquitto.

mod mosquitto;
mod output;
