//! Ports of the loopback interface.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context, Result};

/// A port to listen on: the wished one, or another if that is taken. 0 wishes for
/// any.
///
/// The port is free when this returns; another program may still take it before the
/// one that it is meant for, which then says so itself.
pub(crate) fn free(wished: u16) -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, wished))
        .or_else(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
        .context("this machine has no free port on 127.0.0.1")?;
    Ok(listener.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_taken_port_is_replaced() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let other = free(port).unwrap();
        assert_ne!(other, port);
        assert_ne!(other, 0);
    }

    #[test]
    fn a_free_port_is_kept() {
        let port = free(0).unwrap();
        assert_eq!(free(port).unwrap(), port);
    }
}
