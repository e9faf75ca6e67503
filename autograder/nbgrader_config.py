# Copied into a course folder by `python -m autograder`, once; what you change in the copy stays. It makes nbgrader's
# own `autograde`, its API and the formgrader's button grade as `python -m autograder grade` does. Take it away, and a
# plain nbgrader still gives an honest submission the same scores.
c = get_config()  # noqa: F821

c.CourseDirectory.course_id = "pruning-and-sparsity"  # PostgreSQL needs a name

c.Autograde.sanitize_preprocessors = [
    "nbgrader.preprocessors.ClearOutput",
    "autograder.repair.RepairSubmission",
    "nbgrader.preprocessors.OverwriteKernelspec",
    "nbgrader.preprocessors.CheckCellMetadata",
]
c.Autograde.autograde_preprocessors = [
    "autograder.kernel.ExecuteAndJudge",
    "nbgrader.preprocessors.IgnorePattern",
    "nbconvert.preprocessors.ClearMetadataPreprocessor",
    "nbgrader.preprocessors.LimitOutput",
    "autograder.gradebook.SaveResult",
    "nbgrader.preprocessors.CheckCellMetadata",
]

# Without a sandbox, as you, with all that you may do; only for the work of people you trust:
# c.ExecuteAndJudge.isolation = "none"
# What one submission may use up (sandbox.Limits):
# c.ExecuteAndJudge.limits = {"cell_seconds": 30, "memory": 2 << 30}
