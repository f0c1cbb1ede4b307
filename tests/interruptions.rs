//! Studies that are killed and interrupted.

use std::time::{Duration, Instant};

use adaplace_testkit::{TinyBert, tiny_bert};

use crate::common::{Lab, Running, signals_are_heard};

/// A search with 24 trials, a race of 4 and 6 repetitions.
const SEARCH: &str = "search --backbone backbone --task task --space space.toml --strategy evolution --population 6 \
    --trials 24 --steps 8 --train-examples 30 --gradient-examples 30 --max-length 32 --finalists 4 --repetitions 2";

const TRAININGS: usize = 24 + 4 + 6;

/// Small pseudo-random numbers from a seed, so that a failure can be repeated.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        // This is the linear congruential generator of Numerical Recipes.
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223) % (1 << 32);
        (self.0 * limit) >> 32
    }
}

fn killed_and_resumed(workers: usize) {
    let lab = Lab::text();
    lab.run(&format!("{SEARCH} --out undisturbed")).succeeded();
    let expected = lab.journal("undisturbed");
    assert_eq!(expected.len(), TRAININGS);

    let search = format!("{SEARCH} --workers {workers} --out study");
    let mut dice = Dice(workers as u64);
    let mut kills = 0;
    // The first kill comes before the first training, the others within each fifth of the study.
    for part in 0..6 {
        let mut running = Running::start(&mut lab.command(&search));
        let lines = match part {
            0 => 0,
            _ => (part - 1) * TRAININGS / 5 + dice.below(TRAININGS as u64 / 5 - 1) as usize + 1,
        };
        running.wait_until(|| lab.journal_length("study") >= lines);
        std::thread::sleep(Duration::from_micros(dice.below(20_000)));
        kills += usize::from(running.kill());
        let done = lab.journal_length("study");
        assert!(done >= lines || part == 0, "{done} of {lines}");
    }
    assert!(kills >= 4, "only {kills} kills hit the study");
    let ended = lab.run(&search).succeeded();
    assert!(
        ended.stdout.contains("of the trainings done before"),
        "{ended:#?}"
    );
    assert_eq!(lab.journal("study"), expected);
    assert_eq!(
        lab.read("study/ranking.json"),
        lab.read("undisturbed/ranking.json")
    );
}

#[test]
fn killed_at_any_moment_one_worker_goes_on() {
    killed_and_resumed(1);
}

#[test]
fn killed_at_any_moment_two_workers_go_on() {
    killed_and_resumed(2);
}

/// Each of 100 studies is killed at three moments, whatever it does then.
#[test]
#[ignore = "takes minutes: cargo test --test end_to_end -- --ignored hundred"]
fn a_hundred_studies_killed_at_random_moments_end_as_undisturbed_ones() {
    let lab = Lab::text();
    let start = Instant::now();
    lab.run(&format!("{SEARCH} --out undisturbed")).succeeded();
    let whole = start.elapsed().as_micros() as u64;
    let (journal, ranking) = (
        lab.journal("undisturbed"),
        lab.read("undisturbed/ranking.json"),
    );
    let mut dice = Dice(1);
    let mut kills = 0;
    for study in 0..100 {
        let search = format!("{SEARCH} --workers {} --out {study}", 1 + study % 2);
        for _ in 0..3 {
            let running = Running::start(&mut lab.command(&search));
            std::thread::sleep(Duration::from_micros(dice.below(whole)));
            kills += usize::from(running.kill());
        }
        lab.run(&search).succeeded();
        assert_eq!(lab.journal(&study.to_string()), journal, "study {study}");
        assert_eq!(
            lab.read(&format!("{study}/ranking.json")),
            ranking,
            "study {study}"
        );
    }
    println!("{kills} kills hit 100 studies");
    assert!(kills >= 150, "only {kills} kills hit a study");
}

#[test]
fn ctrl_c_finishes_the_running_trainings() {
    if !signals_are_heard() {
        return;
    }
    let lab = Lab::text();
    lab.run(&format!("{SEARCH} --out undisturbed")).succeeded();
    for workers in [1, 2] {
        let study = format!("study-{workers}");
        let search = format!("{SEARCH} --workers {workers} --out {study} --json");
        let mut running = Running::start(&mut lab.command(&search));
        assert!(running.wait_until(|| lab.journal_length(&study) >= 3));
        running.interrupt();
        let ended = running.end();
        assert_eq!(ended.code, Some(130), "{ended:#?}");
        let done = lab.journal_length(&study);
        assert!((3..TRAININGS).contains(&done));
        for phrase in [
            "finishing the running trainings".to_owned(),
            format!(
                "stopped: {done} trainings are in `{study}`; run the same command again to resume"
            ),
        ] {
            assert!(ended.stderr.contains(&phrase), "{ended:#?}");
        }
        let report = ended.json();
        assert_eq!(report["finished"], false);
        assert!(report["ranking"].is_null());

        lab.run(&search).succeeded();
        assert_eq!(lab.journal(&study), lab.journal("undisturbed"));
    }
}

/// The gradient map takes some time, and nothing is lost with it.
#[test]
fn ctrl_c_ends_at_once_what_trains_nothing() {
    if !signals_are_heard() {
        return;
    }
    let lab = Lab::text();
    let wide = TinyBert {
        width: 192,
        intermediate: 768,
        blocks: 6,
        ..TinyBert::default()
    };
    std::fs::remove_dir_all(lab.path("backbone")).unwrap();
    tiny_bert(&lab.path("backbone"), &wide);
    let search = "search --backbone backbone --task task --strategy random --trials 2 --steps 1 --finalists 1 --repetitions 1 \
        --statistic alignment --out study";
    let mut running = Running::start(&mut lab.command(search));
    assert!(running.wait_until(|| lab.path("study/study.toml").exists()));
    running.interrupt();
    let ended = running.end();
    assert_eq!(ended.code, Some(130), "{ended:#?}");
    // It did not wait for the map.
    assert!(!lab.path("study/gradient-map.json").exists());
    for phrase in [
        "fitting the linear probe and computing the gradient map",
        "stopped before the first training; run the same command again",
    ] {
        assert!(ended.stderr.contains(phrase), "{ended:#?}");
    }
    assert_eq!(lab.journal_length("study"), 0);
    lab.run(search).succeeded();
}

#[test]
fn a_study_at_work_is_not_disturbed_by_a_second_process() {
    let lab = Lab::text();
    let search = format!("{SEARCH} --out study");
    let mut running = Running::start(&mut lab.command(&search));
    assert!(running.wait_until(|| lab.journal_length("study") >= 1));
    lab.run(&search).failed(&["`study`", "another process"]);
    assert_eq!(running.end().code, Some(0));
    assert_eq!(lab.journal("study").len(), TRAININGS);
}

/// With `nohup` the study continues after the terminal is closed.
#[cfg(unix)]
#[test]
fn a_hangup_that_is_ignored_stays_ignored() {
    if !signals_are_heard() {
        return;
    }
    let lab = Lab::text();
    let program = lab.command(&format!("{SEARCH} --out study"));
    let mut shell = std::process::Command::new("sh");
    shell
        .args(["-c", "trap '' HUP; exec \"$0\" \"$@\""])
        .arg(program.get_program())
        .args(program.get_args())
        .current_dir(program.get_current_dir().unwrap());
    let mut running = Running::start(&mut shell);
    assert!(running.wait_until(|| lab.journal_length("study") >= 2));
    running.signal("HUP");
    let ended = running.end();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(lab.journal_length("study"), TRAININGS);

    // Without it, closing the terminal is like Ctrl-C.
    let mut running = Running::start(&mut lab.command(&format!("{SEARCH} --out other")));
    assert!(running.wait_until(|| lab.journal_length("other") >= 2));
    running.signal("HUP");
    let ended = running.end();
    assert_eq!(ended.code, Some(130), "{ended:#?}");
}

/// A log on a full disk is lost, but the study is not.
#[cfg(target_os = "linux")]
#[test]
fn what_cannot_be_shown_is_no_reason_to_stop() {
    let lab = Lab::text();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
    let mut command = lab.command(&format!("{SEARCH} --out study -vv"));
    command
        .stderr(full.unwrap())
        .stdout(std::process::Stdio::null());
    assert!(command.status().unwrap().success());
    assert_eq!(lab.journal_length("study"), TRAININGS);
}

/// The line with the next command can be pasted into a shell.
#[test]
fn names_with_spaces_are_quoted() {
    let lab = Lab::text();
    let mut command = lab.command(SEARCH);
    let ended = crate::common::finish(command.args(["--out", "my study"]));
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let next = "next          adaplace train 'my study/placements/1.toml' --backbone";
    assert!(ended.stdout.contains(next), "{}", ended.stdout);
}
