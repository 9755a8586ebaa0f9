"""What is learnt from images: ten that stand for 20,000, and which labels are wrong.

    python benchmarks/images.py [distillation] [deep]

- distillation: AmIGO on MNIST and Fashion-MNIST; the test accuracy of the model that is
  trained on the learnt images, which go to ``build/learnt-<data set>.png``.
- deep: AmIGO on hyper-cleaning of MNIST with a perceptron, half of the labels replaced.

On one thread, two minutes each. Figures of papers are as remembered, not looked up.

References
----------
M. Arbel, J. Mairal, "Amortized implicit differentiation for stochastic bilevel
optimization", ICLR 2022 (distillation).
H. Shen, T. Chen, "On penalty-based bilevel gradient descent method", ICML 2023 (deep).
"""

import matplotlib.pyplot as plt
from parts import command
from throughput import ROOT, pose, solver_class

from benchmark_bilevel.exact.solve import Exact


def advanced(problem, n_iterations, **parameters):
    """z and x after so many iterations of AmIGO in float32."""
    amigo = solver_class("AmIGO").get_instance(dtype="float32", **parameters)
    run = amigo.make_runtime(problem)
    run.start(0)
    run.advance(n_iterations)
    return (y.astype(float) for y in run.variables())


def distillation():
    for name in ("mnist", "fashion_mnist"):
        problem = pose("dataset-distillation", name)
        _, x = advanced(problem, 3000, step_size=0.1, outer_ratio=0.1)
        solution = Exact(problem).evaluate(x)
        accuracy = problem.accuracies(solution.z, x)["test_accuracy"]
        print(
            f"  {name}: h = {solution.value:.4f}, test accuracy of z*(x) {accuracy:.2%}"
            f"{' (AmIGO: about 80 % or more)' if name == 'mnist' else ''}"
        )
        print(f"  {draw(problem.images(x), name)}")


def draw(images, name):
    """Draw the learnt images in a row; the path of the picture."""
    side = int(images.shape[1] ** 0.5)
    figure, axes = plt.subplots(1, len(images), figsize=(len(images), 1.1))
    for image, axis in zip(images, axes, strict=True):
        axis.imshow(image.reshape(side, side), cmap="gray")
        axis.axis("off")
    path = ROOT / "build" / f"learnt-{name}.png"
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=120, bbox_inches="tight")
    return path


def deep():
    problem = pose("deep-hypercleaning", "mnist")
    z, x = advanced(problem, 1200, step_size=0.3, outer_ratio=0.01, linear_step=0.1)
    accuracy = problem.accuracies(z, x)["test_accuracy"]
    score = problem.outer_metrics(x)["clean_f1"]
    print(f"  test accuracy {accuracy:.2%} (V-PBGD: about 94.6 %)")
    print(f"  F1 of the weights {score:.2%} (V-PBGD: about 93 %)")


if __name__ == "__main__":
    command(__doc__, distillation, deep)()
