//! The keys that are measured with: the same ones in every run, in an order that memory likes.
//!
//! Knows no map. Keys lie one behind the other in the order in which they are used, so that a figure shows what a map
//! costs and not what fetching its argument does.

/// SplitMix64: the same numbers in every run.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).expect("it is below a usize")
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for end in (1..items.len()).rev() {
            items.swap(end, self.below(end + 1));
        }
    }
}

/// Keys in the order of their use.
pub(crate) struct Keys {
    bytes: Vec<u8>,
    /// Where each key ends; it begins where the one before it does.
    ends: Vec<usize>,
}

impl Keys {
    fn new<'a>(keys: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut all = Keys { bytes: Vec::new(), ends: Vec::new() };
        for key in keys {
            all.bytes.extend_from_slice(key);
            all.ends.push(all.bytes.len());
        }
        all
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn get(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.bytes[start..self.ends[index]]
    }

    /// All of them in order of their use.
    pub(crate) fn all(&self) -> Vec<&[u8]> {
        (0..self.len()).map(|index| self.get(index)).collect()
    }

    /// How many bytes all keys have together.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The same keys in another order.
    pub(crate) fn shuffled(&self, seed: u64) -> Keys {
        let mut order: Vec<usize> = (0..self.len()).collect();
        Numbers(seed).shuffle(&mut order);
        Keys::new(order.into_iter().map(|index| self.get(index)))
    }
}

/// Names as a large Kubernetes cluster has them: `<application>-<hash of ten>-<five>` in some hundred namespaces.
pub(crate) fn paths(count: usize) -> Keys {
    const KINDS: [&str; 12] = [
        "pods",
        "events",
        "configmaps",
        "secrets",
        "leases",
        "replicasets",
        "deployments",
        "endpointslices",
        "services/specs",
        "services/endpoints",
        "serviceaccounts",
        "jobs",
    ];
    const APPLICATIONS: [&str; 10] = [
        "web",
        "frontend",
        "checkout",
        "payment-gateway",
        "user-profile",
        "search",
        "ingest-worker",
        "scheduler",
        "metrics-agent",
        "cache",
    ];
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut numbers = Numbers(1);
    let text = |numbers: &mut Numbers, length: usize| -> String {
        (0..length).map(|_| char::from(LETTERS[numbers.below(LETTERS.len())])).collect()
    };
    // Each application runs in some hundreds of generations, each with some instances.
    let hashes: Vec<String> = (0..count / 40 + 1).map(|_| text(&mut numbers, 10)).collect();
    let mut keys = std::collections::BTreeSet::new();
    while keys.len() < count {
        let kind = KINDS[numbers.below(KINDS.len())];
        let application = APPLICATIONS[numbers.below(APPLICATIONS.len())];
        let namespace = numbers.below(200);
        let hash = &hashes[numbers.below(hashes.len())];
        let end = text(&mut numbers, 5);
        keys.insert(format!("/registry/{kind}/team-{namespace:03}/{application}-{hash}-{end}").into_bytes());
    }
    Keys::new(keys.iter().map(Vec::as_slice)).shuffled(4)
}

/// Keys of 16 random bytes.
pub(crate) fn random(count: usize) -> Keys {
    let mut numbers = Numbers(2);
    let keys: Vec<[u8; 16]> = (0..count)
        .map(|_| {
            let mut key = [0; 16];
            key[..8].copy_from_slice(&numbers.next().to_be_bytes());
            key[8..].copy_from_slice(&numbers.next().to_be_bytes());
            key
        })
        .collect();
    Keys::new(keys.iter().map(<[u8; 16]>::as_slice))
}
