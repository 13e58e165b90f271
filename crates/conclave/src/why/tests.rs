//! What is told of the diaries of an ensemble: the merge, the answer and the page.

use node::{DiaryEntry, DiaryKind, DiskFacts, Facts, PeerFacts};

use super::answer::answer;
use super::show;
use super::sources::{Origin, Source, Witness, is_who_was_asked};
use super::timeline::{Moment, group, merge};
use crate::admin::Report;
use crate::screen::Style;

/// 2026-03-01 12:00:00 UTC.
const NOON: u64 = 1_772_366_400_000;

fn entry(at: u64, member: &str, term: u64, kind: DiaryKind, text: &str) -> DiaryEntry {
    let facts = Facts::default();
    DiaryEntry { unix_milliseconds: NOON + at, member: member.into(), term, kind, text: text.into(), facts }
}

fn leader(at: u64, member: &str, term: u64, text: &str, facts: Facts) -> DiaryEntry {
    let because = text.split_once(": ").map(|(_, because)| because.to_owned());
    DiaryEntry { facts: Facts { because, ..facts }, ..entry(at, member, term, DiaryKind::Leader, text) }
}

fn report(name: &str, term: u64, leader: Option<&str>) -> Report {
    Report {
        ensemble: "e".into(),
        name: name.into(),
        id: 1,
        pid: 1,
        version: String::new(),
        role: "follower".into(),
        term,
        leader: leader.map(str::to_owned),
        can_read: true,
        can_commit: true,
        commit: 0,
        applied: 0,
        revision: 0,
        compacted: 0,
        hash: String::new(),
        hash_at: 0,
        state_bytes: 0,
        diverged: false,
        quota_soft_bytes: 200,
        quota_hard_bytes: 400,
        members: Vec::new(),
        changes: Vec::new(),
    }
}

fn answering(name: &str, term: u64, leader: Option<&str>, entries: Vec<DiaryEntry>) -> Witness {
    let report = Some(report(name, term, leader));
    Witness { name: name.into(), origin: Origin::Answer, problem: None, report, entries }
}

fn silent(name: &str, entries: Vec<DiaryEntry>) -> Witness {
    let problem = Some("127.0.0.1:1 does not answer".to_owned());
    Witness { name: name.into(), origin: Origin::Files, problem, report: None, entries }
}

/// m1 led and was killed; m2 took over with the vote of m3.
fn after_a_kill() -> Vec<Witness> {
    use DiaryKind as Kind;
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    let first = Facts { yes: names(&["m1", "m2", "m3"]), took_milliseconds: Some(9), ..Facts::default() };
    let second = Facts {
        peer: Some("m1".into()),
        lost_milliseconds_ago: Some(3),
        silent_milliseconds: Some(41),
        took_milliseconds: Some(11),
        yes: names(&["m2", "m3"]),
        silent: names(&["m1"]),
        disk: Some(DiskFacts { newest_microseconds: 840, worst_microseconds: 12_100, waiting_microseconds: None }),
        peers: [
            ("m1".to_owned(), PeerFacts { heard_milliseconds_ago: Some(41), ..PeerFacts::default() }),
            (
                "m3".to_owned(),
                PeerFacts { connected: true, round_trip_microseconds: Some(310), ..PeerFacts::default() },
            ),
        ]
        .into(),
        ..Facts::default()
    };
    let lost = "lost the connection to the leader m1";
    vec![
        silent(
            "m1",
            vec![
                entry(0, "m1", 0, Kind::Started, "started as a follower in term 0; its log is empty"),
                leader(400, "m1", 1, "leads term 1: no leader was heard; elected in 9 ms by 3 of 3", first),
            ],
        ),
        answering(
            "m2",
            2,
            Some("m2"),
            vec![
                entry(1, "m2", 0, Kind::Started, "started as a follower in term 0; its log is empty"),
                entry(402, "m2", 1, Kind::Follower, "follows m1 in term 1"),
                entry(60_000, "m2", 1, Kind::ConnectionLost, lost),
                entry(60_001, "m2", 2, Kind::Campaign, "asks for votes in term 2: m1's connection was lost 1 ms ago"),
                leader(
                    60_003,
                    "m2",
                    2,
                    "leads term 2: m1's connection was lost 3 ms ago; elected in 11 ms by 2 of 3",
                    second,
                ),
            ],
        ),
        answering(
            "m3",
            2,
            Some("m2"),
            vec![
                entry(3, "m3", 0, Kind::Started, "started as a follower in term 0; its log is empty"),
                entry(402, "m3", 1, Kind::Follower, "follows m1 in term 1"),
                entry(59_999, "m3", 1, Kind::ConnectionLost, lost),
                entry(60_001, "m3", 2, Kind::Vote, "gives m2 its vote for term 2"),
                entry(60_004, "m3", 2, Kind::Follower, "follows m2 in term 2"),
            ],
        ),
    ]
}

fn merged(witnesses: &[Witness]) -> Vec<DiaryEntry> {
    merge(witnesses.iter().map(|witness| witness.entries.clone()))
}

fn answered(witnesses: &[Witness], at: u64) -> Vec<String> {
    answer(witnesses, &merged(witnesses), NOON + at)
}

#[test]
fn the_page_after_a_kill() {
    let witnesses = after_a_kill();
    let entries = merged(&witnesses);
    let answer = answer(&witnesses, &entries, NOON + 252_003);
    let page = show::page(&answer, &group(entries), 100, Style::for_stream(false));
    let golden = "\
Why did the leader change last?
  m2 leads since 12:01:00.003 (term 2, for 3 min 12 s). It took over from m1, because the connection to m1 broke 3 ms before.
  It was elected within 11 ms with the votes of m2 and m3; without an answer of m1.
  At that moment: log sync 0.8 ms, worst lately 12.1 ms; m1 not connected, heard 41 ms ago; round trip to m3 0.3 ms.
  m1 does not answer now; its diary was read from its files and ends at 12:00:00.400.

What happened (all entries; times in UTC)
2026-03-01
  12:00:00.000  m1, m2, m3  started          started as a follower in term 0; its log is empty
  12:00:00.400  m1          leader           leads term 1: no leader was heard; elected in 9 ms by 3 of 3
  12:00:00.402  m2, m3      follower         follows m1 in term 1
  12:00:59.999  m2, m3      connection lost  lost the connection to the leader m1
  12:01:00.001  m2          campaign         asks for votes in term 2: m1's connection was lost 1 ms ago
  12:01:00.001  m3          vote             gives m2 its vote for term 2
  12:01:00.003  m2          leader           leads term 2: m1's connection was lost 3 ms ago; elected in 11 ms by 2 of 3
                                             log sync 0.8 ms, worst lately 12.1 ms; m1 not connected, heard 41 ms ago; round trip to m3 0.3 ms
  12:01:00.004  m3          follower         follows m2 in term 2
";
    assert_eq!(page, golden);
}

#[test]
fn only_the_newest_are_shown_if_so_asked_and_a_new_day_is_named() {
    let early = entry(0, "m1", 1, DiaryKind::Vote, "gives m2 its vote for term 1");
    let late = entry(43_200_000, "m1", 2, DiaryKind::Vote, "gives m2 its vote for term 2");
    let moments = group(vec![early.clone(), early, late]);
    let page = show::page(&["An answer.".to_owned()], &moments, 2, Style::for_stream(false));
    let golden = "\
Why did the leader change last?
  An answer.

What happened (the last 2 of 3 entries; times in UTC)
2026-03-01
  12:00:00.000  m1  vote  gives m2 its vote for term 1
2026-03-02
  00:00:00.000  m1  vote  gives m2 its vote for term 2
";
    assert_eq!(page, golden);
}

#[test]
fn what_ended_the_time_of_the_leader_before_is_told_in_its_own_words() {
    use DiaryKind as Kind;
    let cases = [
        (Kind::StepDown, "leads no longer, term 1: handed over to m2: it was asked to", None),
        (Kind::Fatal, "stops by itself: the log failed: no space", None),
        (Kind::Paused, "did not run for 5123 ms", None),
        (
            Kind::Started,
            "started as a follower in term 1",
            Some("m1 was started again at 12:01:05.000 without having stopped: it had been killed or had crashed."),
        ),
    ];
    for (kind, text, told) in cases {
        let mut witnesses = after_a_kill();
        witnesses[0].entries.push(entry(65_000, "m1", 1, kind, text));
        witnesses[0].entries.push(entry(65_001, "m1", 2, Kind::StepDown, "leads no longer: later"));
        let told = told.map_or_else(|| format!("m1 itself writes at 12:01:05.000: {text}."), str::to_owned);
        assert!(answered(&witnesses, 70_000).contains(&told), "{told}\n{:#?}", answered(&witnesses, 70_000));
    }
}

#[test]
fn a_transfer_is_told_with_its_reason() {
    let mut witnesses = after_a_kill();
    let peer = |name: &str| Facts { peer: Some(name.to_owned()), ..Facts::default() };
    let text = "begins to hand over to m2: its disk did not finish a write within an election timeout";
    let began = DiaryEntry { facts: peer("m2"), ..entry(59_000, "m1", 1, DiaryKind::Transfer, text) };
    witnesses[0].entries.push(began);
    let last = witnesses[1].entries.pop().expect("the election");
    witnesses[1].entries.push(leader(60_003, "m2", 2, "leads term 2: m1 handed over", peer("m1")));
    let first = &answered(&witnesses, 70_000)[0];
    assert!(
        first.ends_with(
            "It took over from m1, because m1 handed over: its disk did not finish a write within an election timeout."
        ),
        "{first}"
    );
    // Without the diary of m1 it is still told who handed over.
    witnesses[0].entries.clear();
    witnesses[1].entries.retain(|entry| entry.term != last.term || entry.kind == DiaryKind::Leader);
    assert!(answered(&witnesses, 70_000)[0].ends_with("Elected because m1 handed over."));
}

#[test]
fn without_a_leader_it_is_told_who_cannot_be_elected_and_who_is_silent() {
    let mut witnesses = after_a_kill();
    witnesses.remove(0);
    witnesses.push(silent("m1", Vec::new()));
    let cause = "leads no longer, term 2: lost contact with the majority: heard 1 of 3 within an election timeout";
    witnesses[0].entries.push(entry(63_000, "m2", 2, DiaryKind::StepDown, cause));
    let failed = "got no majority in time in the pre-vote for term 3: yes from m3; no answer from m1 and m2";
    witnesses[1].entries.push(entry(64_000, "m3", 2, DiaryKind::PreVoteFailed, failed));
    witnesses[1].report = Some(report("m3", 2, None));
    witnesses[0].report = None;
    assert_eq!(
        answered(&witnesses, 70_000),
        [
            "Nobody leads now. m2 led last, from 12:01:00.003 on (term 2).",
            "m2 itself writes at 12:01:03.000: leads no longer, term 2: lost contact with the majority: heard 1 of 3 \
             within an election timeout.",
            "m3 cannot be elected: at 12:01:04.000 it got no majority in time in the pre-vote for term 3: yes from m3; \
             no answer from m1 and m2.",
            "m2 does not answer now; its diary was read from its files and ends at 12:01:03.000.",
            "m1 does not answer now; nothing is known of its diary.",
        ]
    );
}

#[test]
fn a_leader_of_whom_no_diary_tells_is_named_all_the_same() {
    let witnesses = [answering("m3", 7, Some("m9"), vec![leader(0, "m3", 5, "leads term 5: x", Facts::default())])];
    let told = "m9 leads in term 7, but no diary that could be read tells how it came to that.";
    assert_eq!(answered(&witnesses, 10)[0], told);
    assert_eq!(answered(&[], 0), ["No diary that could be read tells of a leader."]);
}

#[test]
fn nobodys_story_runs_backwards_and_causes_come_before_what_follows() {
    use DiaryKind as Kind;
    let order = |diaries: Vec<Vec<(u64, &str, Kind)>>| {
        let diaries = diaries.into_iter().map(|diary| {
            let entries = diary.into_iter().map(|(at, text, kind)| entry(at, "m", 1, kind, text));
            entries.collect::<Vec<_>>()
        });
        merge(diaries).into_iter().map(|entry| entry.text).collect::<Vec<_>>()
    };
    let voter = vec![(5, "vote", Kind::Vote), (5, "follow", Kind::Follower)];
    let candidate = vec![(5, "campaign", Kind::Campaign), (5, "tally", Kind::Tally), (5, "lead", Kind::Leader)];
    let expected = ["campaign", "vote", "tally", "lead", "follow"];
    assert_eq!(order(vec![voter.clone(), candidate.clone()]), expected);
    assert_eq!(order(vec![candidate, voter]), expected);
    let clock_set_back = vec![(9, "first", Kind::Vote), (2, "second", Kind::Vote)];
    assert_eq!(order(vec![clock_set_back, vec![(4, "other", Kind::Vote)]]), ["other", "first", "second"]);
}

#[test]
fn the_same_seen_by_several_is_one_line_the_same_seen_twice_is_two() {
    let lost = |at, member| entry(at, member, 1, DiaryKind::ConnectionLost, "lost the connection to m1");
    let moments = group(vec![lost(0, "m3"), lost(5, "m2"), lost(10, "m2"), lost(9_000, "m3")]);
    let members = |moment: &Moment| moment.members.join(" ");
    assert_eq!(moments.iter().map(members).collect::<Vec<_>>(), ["m2 m3", "m2", "m3"]);
}

#[test]
fn scripts_get_the_answer_the_sources_and_the_facts() {
    let witnesses = after_a_kill();
    let entries = merged(&witnesses);
    let json = show::json(&answered(&witnesses, 70_000), &witnesses, &entries, 2);
    let story: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert!(story["answer"][0].as_str().unwrap().starts_with("m2 leads since"));
    assert_eq!(story["members"][0]["diary"], "files");
    assert_eq!(story["members"][0]["problem"], "127.0.0.1:1 does not answer");
    assert_eq!(story["entries"].as_array().unwrap().len(), 2);
    assert_eq!(story["entries"][0]["kind"], "leader");
    assert_eq!(story["entries"][0]["facts"]["peers"]["m3"]["round_trip_microseconds"], 310);
}

#[test]
fn whoever_has_the_address_by_now_is_not_taken_for_the_member() {
    let asked = |name: &str, ensemble: Option<&str>| {
        let ensemble = ensemble.map(str::to_owned);
        let source = Source { name: name.into(), admin: "h:1".into(), ensemble, data: None };
        is_who_was_asked(&source, &report("m2", 1, None)).map_err(|problem| problem.to_string())
    };
    assert_eq!(asked("m2", Some("e")), Ok(()));
    assert_eq!(asked("h:1", None), Ok(()), "only the address was known");
    let another = Err("h:1 is now the address of m2 of e".to_owned());
    assert_eq!(asked("m1", Some("e")), another);
    assert_eq!(asked("m2", Some("another")), another);
}
