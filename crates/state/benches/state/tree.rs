//! The tree beside `BTreeMap` (which has no snapshots) and `imbl::OrdMap` (which has), in one run.
//!
//! The maps take turns, slice of the keys by slice, so that what else the machine does meets all of them. A ratio is the
//! median of those of the slices; above 1 the tree is faster.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::ops::Bound;
use std::time::Instant;

use conclave_state::tree::Tree;

use crate::keys::Keys;
use crate::maps::{Map, Row, row};

/// How many writes go between two published roots.
const BATCH: usize = 256;
/// In how many slices a figure is measured.
const SLICES: usize = 24;
/// How many keys a figure is measured with at most, where it is not all of them.
const SAMPLE: usize = 200_000;

/// One map, its last published root, and how long each slice of the present figure took.
struct Contender<M> {
    map: M,
    root: Option<M>,
    nanoseconds: Vec<f64>,
    sum: u64,
}

impl<M: Map> Contender<M> {
    fn new() -> Self {
        Contender { map: M::default(), root: None, nanoseconds: Vec::new(), sum: 0 }
    }

    fn time(&mut self, count: usize, work: impl FnOnce(&mut Self)) {
        let start = Instant::now();
        work(self);
        self.nanoseconds.push(start.elapsed().as_secs_f64() * 1e9 / count as f64);
    }

    fn publish(&mut self) {
        black_box(std::mem::replace(&mut self.root, self.map.publish()));
    }

    fn put(&mut self, keys: &[&[u8]]) {
        let rows: Vec<Row> = (0..keys.len()).map(row).collect();
        let mut rows = rows.into_iter();
        self.time(keys.len(), |this| {
            for batch in keys.chunks(BATCH) {
                batch.iter().zip(&mut rows).for_each(|(key, row)| this.map.put(key, row));
                this.publish();
            }
        });
    }

    fn remove_and_put(&mut self, keys: &[&[u8]]) {
        let rows: Vec<Row> = (0..keys.len()).map(row).collect();
        let mut rows = rows.into_iter();
        self.time(2 * keys.len(), |this| {
            for batch in keys.chunks(BATCH) {
                batch.iter().for_each(|key| this.map.take(key));
                this.publish();
                batch.iter().zip(&mut rows).for_each(|(key, row)| this.map.put(key, row));
                this.publish();
            }
        });
    }

    fn get(&mut self, keys: &[&[u8]]) {
        self.time(keys.len(), |this| {
            for key in keys {
                this.sum += u64::from(this.map.get(key)[0]);
            }
        });
    }

    fn pages(&mut self, starts: &[&[u8]], limit: usize) {
        self.time(starts.len() * limit, |this| {
            for start in starts {
                this.map.page(start, limit, &mut this.sum);
            }
        });
    }
}

/// The three, which take turns.
struct Contest {
    tree: Contender<Tree<Row>>,
    standard: Contender<BTreeMap<Vec<u8>, Row>>,
    imbl: Contender<imbl::OrdMap<Vec<u8>, Row>>,
}

/// Lets each contender do the same with each slice of the items, and prints what came out.
macro_rules! figure {
    ($contest:ident, $name:literal, $items:expr, |$one:ident, $slice:ident| $work:expr) => {{
        let items = $items;
        for $slice in items.chunks(items.len().div_ceil(SLICES)) {
            {
                let $one = &mut $contest.tree;
                $work;
            }
            {
                let $one = &mut $contest.standard;
                $work;
            }
            {
                let $one = &mut $contest.imbl;
                $work;
            }
        }
        $contest.tell($name);
    }};
}

impl Contest {
    fn tell(&mut self, name: &str) {
        let tree = std::mem::take(&mut self.tree.nanoseconds);
        let standard = std::mem::take(&mut self.standard.nanoseconds);
        let imbl = std::mem::take(&mut self.imbl.nanoseconds);
        let ratio = |other: &[f64]| median(other.iter().zip(&tree).map(|(other, tree)| other / tree));
        println!(
            "{name:44} {:9.0} {:9.0} {:9.0} {:12.2} {:9.2}",
            median(tree.iter().copied()),
            median(standard.iter().copied()),
            median(imbl.iter().copied()),
            ratio(&standard),
            ratio(&imbl)
        );
    }
}

fn median(numbers: impl Iterator<Item = f64>) -> f64 {
    let mut numbers: Vec<f64> = numbers.collect();
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

/// Measures all figures with these keys.
pub(crate) fn compare(shape: &str, keys: &Keys) {
    println!("\n{} keys {shape}, {BATCH} writes to a published root", keys.len());
    println!("{:44} {:>9} {:>9} {:>9} {:>12} {:>9}", "ns a key", "tree", "BTreeMap", "imbl", "to BTreeMap", "to imbl");
    let mut contest = Contest { tree: Contender::new(), standard: Contender::new(), imbl: Contender::new() };
    figure!(contest, "insert", keys.all(), |one, slice| one.put(slice));

    let others = keys.shuffled(3);
    let others = others.all();
    let sample = &others[..others.len().min(SAMPLE)];
    figure!(contest, "overwrite", sample, |one, slice| one.put(slice));
    figure!(contest, "remove and insert", sample, |one, slice| one.remove_and_put(slice));
    figure!(contest, "point read", &others, |one, slice| one.get(slice));

    let mut sorted = others.clone();
    sorted.sort_unstable();
    figure!(contest, "ordered scan", &sorted, |one, slice| one.pages(&slice[..1], slice.len()));
    figure!(contest, "page of 20 from a key", sample, |one, slice| one.pages(slice, 20));
    black_box((contest.tree.sum, contest.standard.sum, contest.imbl.sum));
    let Contest { tree: Contender { map: tree, root, .. }, standard, imbl } = contest;
    drop((root, standard, imbl));
    alone(keys, &sorted, tree);
}

/// Memory, and what only the tree can do.
fn alone(keys: &Keys, sorted: &[&[u8]], mut tree: Tree<Row>) {
    let count = keys.len() as f64;
    let (nodes, text) = (tree.footprint() as f64 / count, keys.bytes() as f64 / count);
    println!("bytes a key: {nodes:.1} for the nodes, {:.1} beyond the key's own {text:.1}", nodes - text);

    let rows: Vec<_> = sorted.iter().map(|key| tree.get(key).expect("it is there").clone()).collect();
    let loading = timed(keys.len(), || {
        let loaded = Tree::from_sorted(sorted.iter().zip(rows)).expect("they are sorted");
        assert_eq!(loaded.len(), keys.len());
        black_box(&loaded);
    });
    let pairs: Vec<_> = (1..keys.len().min(100_000)).map(|second| (keys.get(second - 1), keys.get(second))).collect();
    let counting = timed(pairs.len(), || {
        for (from, to) in &pairs {
            black_box(tree.count(Bound::Included(from), Bound::Excluded(to)));
        }
    });
    let snapshots = 1_000_000;
    let snapshot = timed(snapshots, || {
        for _ in 0..snapshots {
            black_box(tree.clone());
        }
    });
    let old = tree.clone();
    for index in 0..BATCH {
        tree.insert(keys.get(index), row(keys.len()));
    }
    let differing = timed(1, || {
        let mut differences = tree.diff(&old);
        assert_eq!(std::iter::from_fn(|| differences.next().map(|_| ())).count(), BATCH);
    });
    println!(
        "snapshot: {snapshot:.0} ns; count of a range: {counting:.0} ns; difference of {BATCH} writes: {:.0} µs; load in bulk: \
         {loading:.0} ns a key",
        differing / 1000.0
    );
    drop(old);
    let dropping = timed(1, || drop(tree));
    println!("dropping the last root: {:.0} ms", dropping / 1e6);
}

fn timed(count: usize, work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64() * 1e9 / count as f64
}
