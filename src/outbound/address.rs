//! Which addresses may be called: those of the public internet, and what is named beyond it.
//!
//! Judges an address, never a name alone: what a name means is looked up once for each connection,
//! and the address that was judged is the one that is connected to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use thiserror::Error;

/// Networks and hosts that may be called although they are private.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    networks: Vec<Network>,
    hosts: Vec<Box<str>>,
}

/// A list of what may be called that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{entry:?} is no network such as 10.0.0.0/8, no address and no host name")]
pub struct BadAllowed {
    /// The part that is wrong.
    pub entry: String,
}

/// All addresses with the same first bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    const fn v4(a: u8, b: u8, c: u8, bits: u8) -> Self {
        let address = IpAddr::V4(Ipv4Addr::new(a, b, c, 0));
        Self { address, bits }
    }

    const fn v6(head: [u16; 2], bits: u8) -> Self {
        let address = IpAddr::V6(Ipv6Addr::new(head[0], head[1], 0, 0, 0, 0, 0, 0));
        Self { address, bits }
    }

    fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address.parse().ok()?, Some(bits.parse().ok()?)),
            None => (text.parse::<IpAddr>().ok()?.to_canonical(), None),
        };
        let most = if matches!(address, IpAddr::V4(_)) {
            32
        } else {
            128
        };
        let bits = bits.unwrap_or(most);
        (bits <= most).then_some(Self { address, bits })
    }

    fn holds(self, other: IpAddr) -> bool {
        match (self.address, other) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let differs = own.to_bits() ^ other.to_bits();
                u32::from(self.bits) <= differs.leading_zeros()
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let differs = own.to_bits() ^ other.to_bits();
                u32::from(self.bits) <= differs.leading_zeros()
            }
            _ => false,
        }
    }
}

/// What is not the public internet, and what leads around a look at the address.
///
/// Source: the special-purpose address registries of IANA (RFC 6890), as of 2025.
const SPECIAL: [Network; 26] = [
    Network::v4(0, 0, 0, 8),
    Network::v4(10, 0, 0, 8),
    Network::v4(100, 64, 0, 10),
    Network::v4(127, 0, 0, 8),
    // Link-local, where clouds keep the metadata of a machine.
    Network::v4(169, 254, 0, 16),
    Network::v4(172, 16, 0, 12),
    Network::v4(192, 0, 0, 24),
    Network::v4(192, 0, 2, 24),
    Network::v4(192, 88, 99, 24),
    Network::v4(192, 168, 0, 16),
    Network::v4(198, 18, 0, 15),
    Network::v4(198, 51, 100, 24),
    Network::v4(203, 0, 113, 24),
    // Multicast, reserved, broadcast.
    Network::v4(224, 0, 0, 3),
    // Unspecified, loopback, mapped and translated IPv4.
    Network::v6([0, 0], 32),
    Network::v6([0x64, 0xff9b], 32),
    Network::v6([0x100, 0], 64),
    // Teredo, benchmarks, ORCHID.
    Network::v6([0x2001, 0], 23),
    Network::v6([0x2001, 0xdb8], 32),
    // 6to4.
    Network::v6([0x2002, 0], 16),
    Network::v6([0x3fff, 0], 20),
    Network::v6([0x5f00, 0], 16),
    Network::v6([0xfc00, 0], 7),
    Network::v6([0xfe80, 0], 10),
    Network::v6([0xfec0, 0], 10),
    Network::v6([0xff00, 0], 8),
];

impl Allowed {
    /// Reads networks (`10.0.0.0/8`), addresses and host names, with commas between them.
    ///
    /// # Errors
    ///
    /// The part that is none of these.
    pub fn parse(text: &str) -> Result<Self, BadAllowed> {
        let mut allowed = Self::default();
        let entries = text.split(',').map(str::trim);
        for entry in entries.filter(|entry| !entry.is_empty()) {
            let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
            if let Some(network) = Network::parse(entry) {
                allowed.networks.push(network);
            } else if entry.bytes().all(is_name) && entry.bytes().any(|it| it.is_ascii_alphabetic())
            {
                allowed.hosts.push(entry.to_ascii_lowercase().into());
            } else {
                let entry = entry.to_owned();
                return Err(BadAllowed { entry });
            }
        }
        Ok(allowed)
    }

    /// Everything: for calls that a person makes from the command line.
    pub fn everything() -> Self {
        Self {
            networks: vec![Network::v4(0, 0, 0, 0), Network::v6([0, 0], 0)],
            hosts: Vec::new(),
        }
    }

    /// Whether this address may be called, as one that this host name has.
    pub fn admits(&self, host: &str, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let is_named = self.hosts.iter().any(|known| **known == *host);
        let is_special = SPECIAL.iter().any(|network| network.holds(address));
        is_named || !is_special || self.networks.iter().any(|network| network.holds(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(allowed: &str, host: &str, address: &str) -> bool {
        let allowed = Allowed::parse(allowed).unwrap();
        allowed.admits(host, address.parse().unwrap())
    }

    #[test]
    fn nothing_private_is_called_unless_it_is_named() {
        for address in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "198.19.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "64:ff9b::a00:1",
            "2002:a00:1::",
            "2001::1",
            "fd00:ec2::254",
            "fc00::1",
            "fe80::1",
            "ff02::1",
        ] {
            assert!(!admits("", "x", address), "{address}");
            assert!(admits(address, "x", address), "{address}");
            assert!(admits("pay.internal", "pay.internal", address), "{address}");
            assert!(Allowed::everything().admits("x", address.parse().unwrap()));
        }
    }

    #[test]
    fn the_public_internet_is_called() {
        for address in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "223.255.255.255",
            "2606:4700::1111",
            "2001:4860:4860::8888",
            "::ffff:1.1.1.1",
        ] {
            assert!(admits("", "x", address), "{address}");
        }
    }

    #[test]
    fn a_list_names_networks_addresses_and_hosts() {
        let list = "10.1.0.0/16, 127.0.0.1 ,fd00::/8,Pay.Internal";
        assert!(admits(list, "x", "10.1.255.1"));
        assert!(!admits(list, "x", "10.2.0.1"));
        assert!(admits(list, "x", "::ffff:10.1.0.1"));
        assert!(admits(list, "x", "127.0.0.1"));
        assert!(!admits(list, "x", "127.0.0.2"));
        assert!(admits(list, "x", "fd12::1"));
        assert!(admits(list, "pay.internal", "192.168.0.1"));
        assert!(!admits(list, "not.pay.internal", "192.168.0.1"));
        for bad in [
            "10.0.0.0/33",
            "::/129",
            "10.0.0",
            "a b",
            "http://x",
            "10.0.0.0/x",
        ] {
            assert_eq!(Allowed::parse(bad).unwrap_err().entry, bad);
        }
    }
}
