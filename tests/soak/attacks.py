"""The attacks: one row each."""

from soak import bombed, crafted, damaged, full, kills, mutated, pairs, points, power, ranks
from soak.attack import Attack
from soak.disks import why_not

ATTACKS = {
    "kills": Attack("kills at random moments", 40, kills.draw, kills.attempt),
    "points": Attack("kills at each file operation", 30, points.draw, points.attempt),
    "power": Attack("power cuts", 3, power.draw, power.attempt, why_not),
    "full": Attack("full disks", 5, full.draw, full.attempt, why_not),
    "pairs": Attack("two commands at once", 5, pairs.draw, pairs.attempt),
    "ranks": Attack("one of two training processes killed", 3, ranks.draw, ranks.attempt),
    "damaged": Attack("damaged files of a run", 5, damaged.draw, damaged.attempt),
    "bombs": Attack("bombs", 6, bombed.draw, bombed.attempt),
    "crafted": Attack("crafted folders and archives", 2, crafted.draw, crafted.attempt),
    "mutated": Attack("mutated inputs", 4, mutated.draw, mutated.attempt),
}
