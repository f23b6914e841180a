/** How many tests of Vitest's JSON report passed and failed; a file that could not even be read counts as one failure. */
export function countTests(report) {
  let { numPassedTests: passed, numFailedTests: failed } = report;
  for (const file of report.testResults) {
    if (file.status === "failed" && !file.assertionResults.some((one) => one.status === "failed")) failed++;
  }
  return { passed, failed };
}
