"""scikit-learn with n_jobs=2: threads, and processes of joblib's loky backend that share arrays by mapped files."""

import os

import joblib
import numpy
from sklearn.cluster import KMeans
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score


def column_sum(matrix: numpy.ndarray, column: int) -> float:
    return float(matrix[:, column].sum())


def main() -> None:
    features, labels = make_classification(1500, 20, n_informative=8, random_state=4)
    forest = RandomForestClassifier(40, n_jobs=2, random_state=4).fit(features, labels)
    print(f"forest {forest.score(features, labels):.3f}")
    scores = cross_val_score(RandomForestClassifier(20, random_state=4), features, labels, cv=4, n_jobs=2)
    print("cross-validation", numpy.round(scores, 3).tolist())
    search = GridSearchCV(LogisticRegression(max_iter=500), {"C": [0.01, 0.1, 1]}, n_jobs=2, cv=3).fit(features, labels)
    print("best", search.best_params_, round(search.best_score_, 3))
    big = numpy.arange(4_000_000, dtype=float).reshape(-1, 8)  # Beyond joblib's limit: mapped, not pickled.
    sums = joblib.Parallel(n_jobs=2, max_nbytes="1M")(joblib.delayed(column_sum)(big, c) for c in range(8))
    print("columns", sums[0], sums[7])
    pids = set(joblib.Parallel(n_jobs=2)(joblib.delayed(os.getpid)() for _ in range(20)))
    print("other processes", os.getpid() not in pids)
    clusters = KMeans(3, n_init=3, random_state=4).fit(features)
    print(f"clusters {clusters.inertia_:.1f}")
    try:
        joblib.Parallel(n_jobs=2)(joblib.delayed(int)(text) for text in ("1", "x"))
    except ValueError as error:
        print("raised in a worker:", error)


if __name__ == "__main__":
    main()
