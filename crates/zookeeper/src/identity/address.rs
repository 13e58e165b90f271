//! Addresses as identities: an address, or a network as address and number of leading bits.

use std::net::IpAddr;

/// Whether an access list may name this: `10.0.0.1`, `10.0.0.0/8`, `::1`, `fe80::/10`.
pub(crate) fn is_valid_pattern(pattern: &str) -> bool {
    parse(pattern).is_some()
}

/// Whether a client's address lies in a network.
pub(crate) fn matches(client: &str, pattern: &str) -> bool {
    let (Ok(client), Some((network, bits))) = (client.parse::<IpAddr>(), parse(pattern)) else { return false };
    match (client, network) {
        (IpAddr::V4(client), IpAddr::V4(network)) => {
            leading(client.to_bits().into(), 32, bits) == leading(network.to_bits().into(), 32, bits)
        }
        (IpAddr::V6(client), IpAddr::V6(network)) => {
            leading(client.to_bits(), 128, bits) == leading(network.to_bits(), 128, bits)
        }
        _ => false,
    }
}

fn parse(pattern: &str) -> Option<(IpAddr, u32)> {
    let (address, bits) = pattern.split_once('/').map_or((pattern, None), |(address, bits)| (address, Some(bits)));
    let address: IpAddr = address.parse().ok()?;
    let width = if address.is_ipv4() { 32 } else { 128 };
    let bits = match bits {
        Some(bits) => bits.parse().ok().filter(|&bits| bits <= width)?,
        None => width,
    };
    Some((address, bits))
}

/// The first `bits` of an address that is `width` bits wide.
fn leading(address: u128, width: u32, bits: u32) -> u128 {
    address.checked_shr(width - bits).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        assert!(
            matches("10.1.2.3", "10.1.2.3") && matches("10.1.2.3", "10.1.0.0/16") && matches("10.1.2.3", "0.0.0.0/0")
        );
        assert!(!matches("10.2.2.3", "10.1.0.0/16") && !matches("10.1.2.3", "::/0"));
        assert!(matches("fe80::1", "fe80::/10") && matches("::1", "::/0") && !matches("::1", "fe80::/10"));
        for bad in ["", "foo", "10.0.0.0/33", "::/129", "10.0.0.0/x", "10.0.0.0/-1", "10.0.0.256"] {
            assert!(!is_valid_pattern(bad), "{bad}");
        }
    }
}
