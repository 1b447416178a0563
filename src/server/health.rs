//! `spanway health`: a health check for images that have no shell and no curl.

use std::{
    io::{self, Write},
    net::{TcpStream, ToSocketAddrs},
    process::ExitCode,
    time::Duration,
};

use super::options::HealthOptions;

/// How long the address may take to accept the connection.
const DEADLINE: Duration = Duration::from_secs(1);

/// Connect to the address: 0 if it accepts within a second, else 1 with the reason on standard error.
pub fn run(options: &HealthOptions) -> ExitCode {
    match connect(&options.address) {
        Ok(_connection) => ExitCode::SUCCESS,
        Err(cause) => {
            let _ = writeln!(io::stderr().lock(), "spanway health: {}: {cause}", options.address);
            ExitCode::FAILURE
        }
    }
}

/// Connect to the first address of the name that accepts.
fn connect(name: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in name.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, DEADLINE) {
            Ok(connection) => return Ok(connection),
            Err(cause) => last = cause,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn an_address_is_healthy_while_it_accepts() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let options = HealthOptions { address: listener.local_addr().unwrap().to_string() };
        assert_eq!(run(&options), ExitCode::SUCCESS);
        drop(listener);
        assert_eq!(run(&options), ExitCode::FAILURE);
    }
}
