//! What the persistent tree costs beside `BTreeMap` (no snapshots) and `imbl::OrdMap` (snapshots), in one run.
//!
//! `cargo bench -p conclave-state --bench tree [-- keys]`. Rows of 100 bytes in one allocation, as in the tables. Each
//! figure is the best of some rounds, in nanoseconds for one key; ratios above 1 mean that the tree is faster.
#![expect(clippy::print_stdout, reason = "a benchmark's output is its purpose")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Instant;

use conclave_state::tree::Tree;

type Row = Arc<[u8]>;

/// How many writes go between two published roots.
const BATCH: usize = 256;
/// How often a figure is measured.
const ROUNDS: usize = 3;

fn main() {
    let keys = std::env::args().filter_map(|argument| argument.parse().ok()).next().unwrap_or(1_000_000);
    for (shape, keys) in [("/registry/<kind>/<namespace>/<name>", paths(keys)), ("16 random bytes", random(keys))] {
        compare(shape, &keys);
    }
}

/// SplitMix64: the same keys in every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).expect("it is below a usize")
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for end in (1..items.len()).rev() {
            items.swap(end, self.below(end + 1));
        }
    }
}

/// Names as a large Kubernetes cluster has them: `<application>-<hash of ten>-<five>` in some hundred namespaces.
fn paths(count: usize) -> Vec<Vec<u8>> {
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
    let mut keys: Vec<_> = keys.into_iter().collect();
    numbers.shuffle(&mut keys);
    keys
}

fn random(count: usize) -> Vec<Vec<u8>> {
    let mut numbers = Numbers(2);
    (0..count).map(|_| [numbers.next().to_be_bytes(), numbers.next().to_be_bytes()].concat()).collect()
}

fn row(number: usize) -> Row {
    let mut row = [0; 100];
    row[..8].copy_from_slice(&number.to_le_bytes());
    Arc::from(row)
}

/// What is measured, the same for all three.
trait Map: Clone + Default {
    fn put(&mut self, key: &[u8], row: Row);
    fn take(&mut self, key: &[u8]);
    fn get(&self, key: &[u8]) -> &Row;
    /// Reads the last byte of each key and the first of each row; returns how many entries there are.
    fn scan(&self, sum: &mut u64) -> usize;
    /// The same for at most `limit` entries from a key on.
    fn page(&self, from: &[u8], limit: usize, sum: &mut u64) -> usize;
    /// Keeps the present state readable while the next batch is written.
    fn publish(&self) -> Option<Self>;
}

fn read(key: &[u8], row: &Row, sum: &mut u64) {
    *sum += u64::from(*key.last().expect("no key is empty")) + u64::from(row[0]);
}

impl Map for Tree<Row> {
    fn put(&mut self, key: &[u8], row: Row) {
        self.insert(key, row);
    }
    fn take(&mut self, key: &[u8]) {
        self.remove(key);
    }
    fn get(&self, key: &[u8]) -> &Row {
        self.get(key).expect("the key is there")
    }
    fn scan(&self, sum: &mut u64) -> usize {
        self.page(&[], usize::MAX, sum)
    }
    fn page(&self, from: &[u8], limit: usize, sum: &mut u64) -> usize {
        let mut entries = self.range(Bound::Included(from), Bound::Unbounded);
        let mut count = 0;
        while count < limit
            && let Some((key, row)) = entries.next()
        {
            read(key, row, sum);
            count += 1;
        }
        count
    }
    fn publish(&self) -> Option<Self> {
        Some(self.clone())
    }
}

impl Map for BTreeMap<Vec<u8>, Row> {
    fn put(&mut self, key: &[u8], row: Row) {
        match self.get_mut(key) {
            Some(old) => *old = row,
            None => {
                self.insert(key.to_vec(), row);
            }
        }
    }
    fn take(&mut self, key: &[u8]) {
        self.remove(key);
    }
    fn get(&self, key: &[u8]) -> &Row {
        self.get(key).expect("the key is there")
    }
    fn scan(&self, sum: &mut u64) -> usize {
        self.iter().map(|(key, row)| read(key, row, sum)).count()
    }
    fn page(&self, from: &[u8], limit: usize, sum: &mut u64) -> usize {
        self.range::<[u8], _>((Bound::Included(from), Bound::Unbounded))
            .take(limit)
            .map(|(key, row)| read(key, row, sum))
            .count()
    }
    fn publish(&self) -> Option<Self> {
        None
    }
}

impl Map for imbl::OrdMap<Vec<u8>, Row> {
    fn put(&mut self, key: &[u8], row: Row) {
        self.insert(key.to_vec(), row);
    }
    fn take(&mut self, key: &[u8]) {
        self.remove(key);
    }
    fn get(&self, key: &[u8]) -> &Row {
        self.get(key).expect("the key is there")
    }
    fn scan(&self, sum: &mut u64) -> usize {
        self.iter().map(|(key, row)| read(key, row, sum)).count()
    }
    fn page(&self, from: &[u8], limit: usize, sum: &mut u64) -> usize {
        self.range::<_, [u8]>((Bound::Included(from), Bound::Unbounded))
            .take(limit)
            .map(|(key, row)| read(key, row, sum))
            .count()
    }
    fn publish(&self) -> Option<Self> {
        Some(self.clone())
    }
}

const FIGURES: [&str; 7] = [
    "insert new keys, in batches",
    "overwrite, in batches",
    "remove and insert, in batches",
    "point read",
    "ordered scan",
    "page of 20 from a key",
    "drop the last root",
];

/// Nanoseconds for one key, figure by figure.
fn measure<M: Map>(keys: &[Vec<u8>], others: &[&Vec<u8>]) -> [f64; FIGURES.len()] {
    let mut best = [f64::INFINITY; FIGURES.len()];
    for _ in 0..ROUNDS {
        let mut map = M::default();
        let mut root: Option<M> = None;
        let rows: Vec<Row> = (0..keys.len()).map(row).collect();
        let mut rows = rows.into_iter();
        let insert = timed(keys.len(), || {
            for batch in keys.chunks(BATCH) {
                for (key, row) in batch.iter().zip(&mut rows) {
                    map.put(key, row);
                }
                black_box(std::mem::replace(&mut root, map.publish()));
            }
        });
        let overwrites = others.len().min(200_000);
        let overwrite = timed(overwrites, || {
            for batch in others[..overwrites].chunks(BATCH) {
                for key in batch {
                    map.put(key, row(key.len()));
                }
                black_box(std::mem::replace(&mut root, map.publish()));
            }
        });
        let remove = timed(overwrites, || {
            for batch in others[..overwrites].chunks(BATCH) {
                for key in batch {
                    map.take(key);
                }
                black_box(std::mem::replace(&mut root, map.publish()));
                for key in batch {
                    map.put(key, row(key.len()));
                }
                black_box(std::mem::replace(&mut root, map.publish()));
            }
        });
        let mut sum = 0;
        let get = timed(others.len(), || {
            for key in others {
                sum += u64::from(map.get(key)[0]);
            }
        });
        let scan = timed(keys.len(), || assert_eq!(map.scan(&mut sum), keys.len()));
        let pages = others.len().min(100_000);
        let page = timed(pages, || {
            for key in &others[..pages] {
                map.page(key, 20, &mut sum);
            }
        });
        drop(root);
        let gone = timed(keys.len(), || drop(map));
        black_box(sum);
        for (best, now) in best.iter_mut().zip([insert, overwrite, remove, get, scan, page, gone]) {
            *best = best.min(now);
        }
    }
    best
}

fn timed(count: usize, work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64() * 1e9 / count as f64
}

fn compare(shape: &str, keys: &[Vec<u8>]) {
    let mut others: Vec<&Vec<u8>> = keys.iter().collect();
    Numbers(3).shuffle(&mut others);
    let tree = measure::<Tree<Row>>(keys, &others);
    let standard = measure::<BTreeMap<Vec<u8>, Row>>(keys, &others);
    let imbl = measure::<imbl::OrdMap<Vec<u8>, Row>>(keys, &others);

    println!("\n{} keys {shape}, {BATCH} writes to a root", keys.len());
    println!("{:32} {:>9} {:>9} {:>9} {:>12} {:>9}", "ns a key", "tree", "BTreeMap", "imbl", "to BTreeMap", "to imbl");
    for (figure, name) in FIGURES.iter().enumerate() {
        let (tree, standard, imbl) = (tree[figure], standard[figure], imbl[figure]);
        println!("{name:32} {tree:9.0} {standard:9.0} {imbl:9.0} {:12.2} {:9.2}", standard / tree, imbl / tree);
    }
    weigh(keys);
}

/// Memory, and what only the tree can do.
fn weigh(keys: &[Vec<u8>]) {
    let mut tree = Tree::new();
    for (number, key) in keys.iter().enumerate() {
        tree.insert(key, row(number));
    }
    let count = keys.len() as f64;
    let text = keys.iter().map(Vec::len).sum::<usize>() as f64 / count;
    let nodes = tree.footprint() as f64 / count;
    println!("bytes a key: {nodes:.1} for the nodes, {:.1} beyond the key's own {text:.1}", nodes - text);

    let loading = timed(keys.len(), || {
        let mut sorted: Vec<_> = keys.iter().collect();
        sorted.sort_unstable();
        let rows: Vec<_> = sorted.iter().map(|key| tree.get(key).expect("it is there").clone()).collect();
        let loading = timed(keys.len(), || {
            let loaded = Tree::from_sorted(sorted.into_iter().zip(rows)).expect("they are sorted");
            assert_eq!(loaded.len(), keys.len());
            black_box(&loaded);
        });
        println!("loading in bulk: {loading:.0} ns a key");
    });
    black_box(loading);
    let counts = keys.len().min(100_000);
    let counting = timed(counts, || {
        for pair in keys[..counts].windows(2) {
            black_box(tree.count(Bound::Included(&pair[0]), Bound::Excluded(&pair[1])));
        }
    });
    let clones = 1_000_000;
    let cloning = timed(clones, || {
        for _ in 0..clones {
            black_box(tree.clone());
        }
    });
    let old = tree.clone();
    for key in &keys[..BATCH] {
        tree.insert(key, row(keys.len()));
    }
    let differing = timed(1, || {
        let mut found = 0;
        let mut differences = tree.diff(&old);
        while differences.next().is_some() {
            found += 1;
        }
        assert_eq!(found, BATCH);
    });
    println!(
        "count of a range: {counting:.0} ns, snapshot: {cloning:.0} ns, difference of {BATCH} writes: {:.0} µs",
        differing / 1000.0
    );
}
