//! A search on a Ray cluster, run by the driver of the Python package.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Instant;

use adaplace_study::{Problem, Ranking, StoredStudy, StudyConfiguration, StudyFolder};
use anyhow::{Context, Result, bail};

use super::spent::Spent;
use crate::arguments::StudyOutput;
use crate::terminal::leave_signals_to_others;

/// The environment variable that names the interpreter with the package.
const INTERPRETER: &str = "ADAPLACE_PYTHON";

/// The result of a search on a cluster.
pub(super) struct Spread {
    /// The ranking; none if the search was stopped.
    pub(super) ranking: Option<Ranking>,
    pub(super) spent: Spent,
    /// Number of trainings that an earlier run had finished.
    pub(super) replayed: u64,
}

/// Creates the study's folder and lets the driver run the remaining trainings on the cluster at `address`. Errors in
/// the search space name the file `described_in`.
pub(super) fn execute(
    configuration: &StudyConfiguration,
    problem: &Problem,
    output: &StudyOutput<'_>,
    address: Option<&str>,
    described_in: Option<&Path>,
) -> Result<Spread> {
    let start = Instant::now();
    StudyFolder::check(&output.out, configuration)?;
    configuration.resolve_space(&problem.backbone, &problem.task, described_in)?;
    let python = std::env::var_os(INTERPRETER).unwrap_or_else(|| "python3".into());
    check_package(&python)?;
    let replayed = {
        // The driver is another process and locks the folder itself, so close the journal again.
        let opened = StudyFolder::open(&output.out, configuration)?;
        opened.records.len() as u64
    };

    // Ctrl-C also reaches the driver, which ends by itself.
    leave_signals_to_others()?;
    let status = drive(&python, output, address)?;
    let ranking = match status.code() {
        Some(0) => StoredStudy::read(&output.out)?.ranking,
        Some(code) if code == i32::from(crate::INTERRUPTED) => None,
        _ => bail!(
            "the driver of the Ray cluster ended with {status}; its output is above, and running the same command again resumes `{}`",
            output.out.display()
        ),
    };
    Ok(Spread {
        ranking,
        spent: Spent {
            seconds: start.elapsed().as_secs_f64(),
            ..Spent::default()
        },
        replayed,
    })
}

fn drive(python: &OsString, output: &StudyOutput<'_>, address: Option<&str>) -> Result<ExitStatus> {
    let mut driver = Command::new(python);
    driver
        .args(["-m", "adaplace.ray"])
        .arg(&output.out)
        .args(["--workers", &output.workers.to_string()])
        .stdout(Stdio::null());
    if let Some(address) = address {
        driver.args(["--address", address]);
    }
    driver
        .status()
        .with_context(|| format!("cannot run `{}`", python.display()))
}

/// Checks that the package is installed before anything is written.
fn check_package(python: &OsString) -> Result<()> {
    let advice = format!(
        "install `adaplace[ray]` there (`pip install './python[ray]'`), or name another interpreter in `{INTERPRETER}`"
    );
    let tried = Command::new(python)
        .args(["-c", "import adaplace.ray"])
        .output()
        .with_context(|| format!("cannot run `{}`; {advice}", python.display()))?;
    if !tried.status.success() {
        let said = String::from_utf8_lossy(&tried.stderr);
        let reason = said.trim().lines().last().unwrap_or_default().to_owned();
        bail!(
            "`{}` cannot drive a Ray cluster: {reason}; {advice}",
            python.display()
        );
    }
    Ok(())
}
