"""MathQA's operations as typed tools, made from their names."""

import math

import heddle


def _tools(*functions):
    return [heddle.tool(function, effect="pure") for function in functions]


async def add(a: float, b: float) -> float:
    return a + b


async def subtract(a: float, b: float) -> float:
    return a - b


async def multiply(a: float, b: float) -> float:
    return a * b


async def divide(a: float, b: float) -> float:
    return a / b


async def power(a: float, b: float) -> float:
    return a**b


async def sqrt(a: float) -> float:
    return math.sqrt(a)


async def log(a: float) -> float:
    return math.log(a)


async def inverse(a: float) -> float:
    return 1 / a


async def negate(a: float) -> float:
    return -a


async def floor(a: float) -> float:
    return float(math.floor(a))


async def factorial(a: float) -> float:
    return float(math.factorial(int(a)))


async def speed(distance: float, time: float) -> float:
    return distance / time


async def square_area(side: float) -> float:
    return side**2


async def square_perimeter(side: float) -> float:
    return 4 * side


async def square_edge_by_area(area: float) -> float:
    return math.sqrt(area)


async def rectangle_area(a: float, b: float) -> float:
    return a * b


async def rectangle_perimeter(a: float, b: float) -> float:
    return 2 * (a + b)


async def triangle_area(base: float, height: float) -> float:
    return base * height / 2


async def rhombus_area(one: float, other: float) -> float:
    """Of its two diagonals."""
    return one * other / 2


async def quadrilateral_area(diagonal: float, one: float, other: float) -> float:
    """Of a diagonal and the heights on either side of it."""
    return diagonal * (one + other) / 2


async def circle_area(radius: float) -> float:
    return math.pi * radius**2


async def circumface(radius: float) -> float:
    return 2 * math.pi * radius


async def volume_cube(edge: float) -> float:
    return edge**3


async def surface_cube(edge: float) -> float:
    return 6 * edge**2


async def volume_rectangular_prism(a: float, b: float, c: float) -> float:
    return a * b * c


async def volume_cylinder(radius: float, height: float) -> float:
    return math.pi * radius**2 * height


async def volume_cone(radius: float, height: float) -> float:
    return math.pi * radius**2 * height / 3


TOOLS = _tools(
    *(add, subtract, multiply, divide, power, sqrt, log, inverse, negate, floor, factorial, speed),
    *(square_area, square_perimeter, square_edge_by_area, rectangle_area, rectangle_perimeter),
    *(triangle_area, rhombus_area, quadrilateral_area, circle_area, circumface),
    *(volume_cube, surface_cube, volume_rectangular_prism, volume_cylinder, volume_cone),
)
